// SPDX-License-Identifier: MIT

package main

import (
	"slices"
	"testing"
)

func TestKernelNamesOldestFirst(t *testing.T) {
	if got, want := kernelNames(), []string{"5.10", "6.1", "6.12", "7.2"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestVersionOfImage(t *testing.T) {
	for _, tt := range []struct {
		pkg, name string
		is        bool
	}{
		{"linux-image-5.10.0-46-cloud-amd64", "5.10", true},
		{"linux-image-6.12.95+deb12-cloud-amd64", "6.12", true},
		{"linux-image-6.12.95+deb12-cloud-amd64", "6.1", false},
		{"linux-image-7.2-cloud-amd64", "7.2", true},
		{"linux-image-7.3.1+deb14-cloud-amd64", "7.2", false},
		{"linux-image-7.2", "7.2", false},
	} {
		if got := isVersion(tt.pkg, tt.name); got != tt.is {
			t.Errorf("%s is a kernel %s: %v", tt.pkg, tt.name, got)
		}
	}
}
