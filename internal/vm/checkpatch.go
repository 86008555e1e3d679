// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// fetchCheckpatch returns the path of the kernel's scripts/checkpatch.pl, with the word lists that
// it reads beside it. The only Debian package that has it is the kernel's whole source; the
// four files are kept and the rest is not.
func fetchCheckpatch() (string, error) {
	dir, err := cached("checkpatch", func(tmp, _ string) error {
		apt, err := openApt(filepath.Join(tmp, "apt"), "bookworm")
		if err != nil {
			return err
		}
		debs, err := apt.download("linux-source-6.1")
		if err != nil {
			return err
		}
		step("unpacking checkpatch")
		script := `set -o pipefail
dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/src/linux-source-6.1.tar.xz |
	tar -xJ -C "$2" --strip-components=2 --wildcards '*/scripts/checkpatch.pl' \
		'*/scripts/spelling.txt' '*/scripts/const_structs.checkpatch'`
		if err := command("", "bash", "-c", script, "bash", debs[0], tmp); err != nil {
			return err
		}
		return os.RemoveAll(apt.dir)
	})
	if err != nil {
		return "", fmt.Errorf("checkpatch: %w", err)
	}
	return filepath.Join(dir, "checkpatch.pl"), nil
}
