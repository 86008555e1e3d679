// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"testing"
)

func TestParseMirrors(t *testing.T) {
	for _, tt := range []struct{ name, targets, archive, security string }{
		{"plain", `http://a.example/debian/|bookworm|main|Debian
http://a.example/debian/|bookworm|contrib|Debian
http://a.example/debian/|bookworm-updates|main|Debian
http://s.example/debian-security/|bookworm-security|main|Debian
`, "http://a.example/debian/", "http://s.example/debian-security/"},
		{"before the first update", `http://a.example/debian/|bookworm|main|$(ORIGIN)
http://s.example/debian-security/|bookworm-security|main|$(ORIGIN)
`, "http://a.example/debian/", "http://s.example/debian-security/"},
		{"another vendor's suite of the same name", `http://v.example/debian/|bookworm|main|Vendor
http://a.example/debian/|bookworm|main|Debian
`, "http://a.example/debian/", ""},
		{"half updated", `http://v.example/debian/|bookworm|main|Vendor
http://v.example/debian/|bookworm|main|$(ORIGIN)
http://a.example/debian/|bookworm|main|$(ORIGIN)
`, "http://a.example/debian/", ""},
		{"named by its state", "http://a.example/debian/|stable|main|Debian\n", "http://a.example/debian/", ""},
		{"no Debian", "http://v.example/apt/|stable|main|Vendor\n", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			archive, security := parseMirrors(tt.targets)
			if archive != tt.archive || security != tt.security {
				t.Errorf("got %q, %q; want %q, %q", archive, security, tt.archive, tt.security)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	for _, tt := range []struct {
		said    string
		missing bool
	}{
		{"E: The repository 'http://a.example/debian gone Release' does not have a Release file.", true},
		{"E: Failed to fetch http://a.example/debian/x.deb  404  Not Found [IP: 192.0.2.1 80]", true},
		{"E: No packages found", true},
		{"E: Unable to locate package linux-image-9.9", true},
		{"E: Failed to fetch http://a.example/debian/x.deb  Could not connect to a.example:80", false},
		{"Temporary failure resolving 'a.example'", false},
		{"E: Failed to fetch http://a.example/debian/x.deb  503  Service Unavailable", false},
	} {
		var missing missingError
		if got := errors.As(orMissing("a package", errors.New(tt.said)), &missing); got != tt.missing {
			t.Errorf("missing is %v: %s", got, tt.said)
		}
	}
}
