// SPDX-License-Identifier: MIT

package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The guest brings its files back by writing a tar archive over the whole of an empty disk, after
// its command has ended. The last file in it is "status", the command's exit status: where it is
// missing, the guest did not come to its end.

const diskSize = 1 << 30 // a sparse file: it takes what the guest writes

func newDisk(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(diskSize), f.Close())
}

// readDisk unpacks the archive on the disk below dir and returns the status in it.
func readDisk(path, dir string) (status int, err error) {
	if err := os.RemoveAll(filepath.Join(dir, "out")); err != nil {
		return 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	archive := tar.NewReader(f)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return 0, errors.New("it wrote no exit status")
		}
		if err != nil {
			return 0, fmt.Errorf("the files that it wrote: %w", err)
		}
		if h.Name == "status" {
			text, err := io.ReadAll(archive)
			if err != nil {
				return 0, err
			}
			return strconv.Atoi(strings.TrimSpace(string(text)))
		}
		if !filepath.IsLocal(h.Name) {
			return 0, fmt.Errorf("the guest wrote a file called %q", h.Name)
		}
		if err := unpack(h, archive, filepath.Join(dir, h.Name)); err != nil {
			return 0, err
		}
	}
}

func unpack(h *tar.Header, r io.Reader, dst string) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return os.MkdirAll(dst, 0o755)
	case tar.TypeReg:
		f, err := os.Create(dst)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		return errors.Join(err, f.Close())
	}
	return nil // sockets and the like mean nothing here
}
