// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// A cpioWriter writes the "newc" archive that the kernel unpacks into its first root file system.
// The kernel takes several archives one behind the other, later files replacing earlier ones, so
// that what changes with each run need not be packed together with what does not.
type cpioWriter struct {
	w   io.Writer
	ino int
	has map[string]bool // directories written
	err error           // the first error; what follows it does nothing
}

func newCpioWriter(w io.Writer) *cpioWriter {
	return &cpioWriter{w: w, has: map[string]bool{"/": true, ".": true}}
}

// File modes in the archive are the kernel's S_IF* values.
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeLink = 0o120000
	modeChar = 0o020000
)

func (c *cpioWriter) entry(name string, mode uint32, major, minor int, size int64, body io.Reader) {
	if c.err != nil {
		return
	}
	c.ino++
	name = name[1:] + "\x00" // relative to the root, and a C string
	if name == "\x00" {
		c.err = errors.New("cpio: empty name")
		return
	}
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.ino, mode, 0, 0, 1, 0, size, 0, 0, major, minor, len(name), 0)
	c.write([]byte(header + name))
	c.pad(len(header) + len(name))
	if body == nil {
		return
	}
	n, err := io.Copy(c.w, io.LimitReader(body, size))
	if err == nil && n != size {
		err = fmt.Errorf("cpio: %s changed its size while it was read", name)
	}
	if c.err == nil {
		c.err = err
	}
	c.pad(int(size % 4))
}

func (c *cpioWriter) write(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
}

// pad fills up to a multiple of four bytes.
func (c *cpioWriter) pad(n int) { c.write(make([]byte, -n&3)) }

// Dir adds a directory and those above it.
func (c *cpioWriter) Dir(name string, perm uint32) {
	if c.has[name] {
		return
	}
	c.parents(name)
	c.has[name] = true
	c.entry(name, modeDir|perm, 0, 0, 0, nil)
}

func (c *cpioWriter) parents(name string) { c.Dir(path.Dir(name), 0o755) }

// Symlink adds a symbolic link.
func (c *cpioWriter) Symlink(target, name string) {
	c.parents(name)
	c.entry(name, modeLink|0o777, 0, 0, int64(len(target)), strings.NewReader(target))
}

// Char adds a character device.
func (c *cpioWriter) Char(name string, perm uint32, major, minor int) {
	c.parents(name)
	c.entry(name, modeChar|perm, major, minor, 0, nil)
}

// Bytes adds a file with the given content.
func (c *cpioWriter) Bytes(name string, perm uint32, content string) {
	c.parents(name)
	c.entry(name, modeFile|perm, 0, 0, int64(len(content)), strings.NewReader(content))
}

// File adds a copy of the file src, following symbolic links.
func (c *cpioWriter) File(name, src string) {
	if c.err != nil {
		return
	}
	f, err := os.Open(src)
	if err != nil {
		c.err = err
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		c.err = err
		return
	}
	c.parents(name)
	c.entry(name, modeFile|uint32(st.Mode().Perm()), 0, 0, st.Size(), f)
}

// Tree adds the directory src with all that is in it.
func (c *cpioWriter) Tree(name, src string) {
	if c.err != nil {
		return
	}
	err := filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		dst := path.Join(name, filepath.ToSlash(rel))
		switch {
		case d.IsDir():
			c.Dir(dst, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			c.Symlink(target, dst)
		default:
			c.File(dst, p)
		}
		return c.err
	})
	if c.err == nil {
		c.err = err
	}
}

// Close ends the archive. The writer beneath stays open.
func (c *cpioWriter) Close() error {
	const trailer = "/TRAILER!!!"
	c.entry(trailer, 0, 0, 0, 0, nil)
	return c.err
}
