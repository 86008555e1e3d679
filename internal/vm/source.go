// SPDX-License-Identifier: MIT

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sourcePackage has the kernel's whole source, of which only sourceFiles are kept.
const sourcePackage = "linux-source-6.1"

const (
	checkpatchFile = "scripts/checkpatch.pl"
	selftestFile   = "tools/testing/selftests/net/tun.c"
)

// sourceFiles are the files of the kernel's source that tests use, with those that these read.
var sourceFiles = []string{
	checkpatchFile, "scripts/spelling.txt", "scripts/const_structs.checkpatch",
	selftestFile, "tools/testing/selftests/kselftest.h", "tools/testing/selftests/kselftest_harness.h",
}

// sourceDeb returns the path of sourcePackage's file.
func sourceDeb() (string, error) {
	dir, err := cached("source/package", func(tmp, _ string) error {
		apt, err := openApt(filepath.Join(tmp, "apt"), "bookworm")
		if err != nil {
			return err
		}
		debs, err := apt.download(sourcePackage)
		if err != nil {
			return err
		}
		if err := os.Rename(debs[0], filepath.Join(tmp, filepath.Base(debs[0]))); err != nil {
			return err
		}
		return os.RemoveAll(apt.dir)
	})
	if err != nil {
		return "", fmt.Errorf("the kernel's source: %w", err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%s has not exactly one package; remove that directory and try again", dir)
	}
	return found[0], nil
}

// fetchSource returns the path of one of sourceFiles, which are where they are in the kernel's tree.
func fetchSource(file string) (string, error) {
	key := sha256.Sum256(fmt.Append(nil, sourcePackage, sourceFiles))
	dir, err := cached("source/"+hex.EncodeToString(key[:12]), unpackSource)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, file), nil
}

func unpackSource(tmp, _ string) error {
	deb, err := sourceDeb()
	if err != nil {
		return err
	}
	step("unpacking %d files of the kernel's source", len(sourceFiles))
	script := `set -o pipefail
deb=$1 dst=$2 top=$3
shift 3
dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$top.tar.xz" |
	tar -xJ -C "$dst" --strip-components=1 "${@/#/$top/}"`
	args := append([]string{"-c", script, "bash", deb, tmp, sourcePackage}, sourceFiles...)
	return command("", "bash", args...)
}

// buildSelftest builds the kernel's own test of tun below dir. It opens /dev/net/tun; what is there
// is for the guest to say.
func buildSelftest(dir string) error {
	source, err := fetchSource(selftestFile)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	step("building the kernel's selftest of tun")
	return command("", "gcc", "-std=gnu99", "-O2", "-g", "-o", filepath.Join(dir, "tun"), source)
}
