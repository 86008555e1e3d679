// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// fileList is the value of a repeatable SRC[:DST] flag.
type fileList []guestFile

func (l *fileList) String() string { return fmt.Sprint(*l) }

func (l *fileList) Set(s string) error {
	src, dst, ok := strings.Cut(s, ":")
	if !ok {
		dst = "/bin/" + filepath.Base(src)
	}
	if !strings.HasPrefix(dst, "/") {
		return errors.New("the place in the guest must begin with /")
	}
	*l = append(*l, guestFile{src, dst})
	return nil
}

// stringList is the value of a repeatable flag.
type stringList []string

func (l *stringList) String() string { return strings.Join(*l, " ") }

func (l *stringList) Set(s string) error {
	*l = append(*l, s)
	return nil
}

// buildProgram builds the Go program in src, of whichever module, below dir for the guest.
func buildProgram(src, dir string) (guestFile, error) {
	abs, err := filepath.Abs(src)
	if err != nil {
		return guestFile{}, err
	}
	name := filepath.Base(abs)
	step("building %s", src)
	dst := filepath.Join(dir, name)
	// Nothing of where the tree is, and of its state in git: the same program gives the same figures.
	return guestFile{Src: dst, Dst: "/bin/" + name},
		command(src, "go", "build", "-trimpath", "-buildvcs=false", "-o", dst, ".")
}
