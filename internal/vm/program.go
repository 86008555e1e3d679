// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// A laterProgram is one of another suite of Debian than the machine's, for what the machine's version
// does not do yet. It must run on the libraries of Debian 12.
type laterProgram struct{ suite, pkg, path, dst string }

var laterPrograms = []laterProgram{
	// It moves packets with a virtio header, many at a time, and switches offloads on.
	{"trixie", "wireguard-go", "usr/bin/wireguard-go", "/test/debian/wireguard-go"},
}

// fetch downloads the program into the cache, where it stays at the version that it has there.
func (p laterProgram) fetch() (guestFile, error) {
	dir, err := cached(filepath.Join("program", p.suite+"-"+p.pkg), func(tmp, _ string) error {
		apt, err := openApt(filepath.Join(tmp, "apt"), p.suite)
		if err != nil {
			return err
		}
		debs, err := apt.download(p.pkg)
		if err != nil {
			return err
		}
		if err := command("", "dpkg", "-x", debs[0], tmp); err != nil {
			return err
		}
		return os.RemoveAll(apt.dir)
	})
	if err != nil {
		return guestFile{}, fmt.Errorf("%s of Debian %s: %w", p.pkg, p.suite, err)
	}
	return guestFile{Src: filepath.Join(dir, p.path), Dst: p.dst}, nil
}
