// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The header and name of an entry, and its content, each end at a multiple of four bytes.
func TestCpioLayout(t *testing.T) {
	var out bytes.Buffer
	c := newCpioWriter(&out)
	c.Bytes("/a", 0o644, "xyz")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	want := "070701" + "00000001" + "000081a4" + "00000000" + "00000000" + "00000001" + "00000000" + "00000003" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000002" + "00000000" + "a\x00" + "xyz\x00" +
		"070701" + "00000002" + "00000000" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000000" + "00000000" + "0000000b" + "00000000" + "TRAILER!!!\x00" + "\x00\x00\x00"
	if got := out.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCpioParentsOnce(t *testing.T) {
	var out bytes.Buffer
	c := newCpioWriter(&out)
	c.Bytes("/usr/bin/a", 0o755, "")
	c.Bytes("/usr/bin/b", 0o755, "")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"usr\x00": 1, "usr/bin\x00": 1, "usr/bin/a\x00": 1, "usr/bin/b\x00": 1} {
		if got := bytes.Count(out.Bytes(), []byte(name)); got != want {
			t.Errorf("%q is in the archive %d times, want %d", name, got, want)
		}
	}
}

func TestCpioMissingFile(t *testing.T) {
	c := newCpioWriter(&bytes.Buffer{})
	c.File("/a", filepath.Join(t.TempDir(), "missing"))
	if err := c.Close(); !os.IsNotExist(err) {
		t.Errorf("Close() = %v, want the error of the missing file", err)
	}
}
