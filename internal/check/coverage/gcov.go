// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// gcov is that of the compiler that internal/vm builds the module with: others cannot read its counts.
const gcov = "gcov-12"

// counts says how often each line that has code ran, by the name of its file as it is below kmod/.
// Builds for different kernels have different lines; those of any are here.
type counts map[string]map[int]uint64

// A note is what gcov says of one object file, as far as it matters here.
type note struct{ Files []noteFile }

type noteFile struct {
	File  string
	Lines []noteLine
}

type noteLine struct {
	Number int `json:"line_number"`
	Count  uint64
}

// readCounts adds up all that was counted below the directories of results.
func readCounts(results []string) (counts, error) {
	all := counts{}
	for _, dir := range results {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".gcda" {
				return err
			}
			return all.read(path)
		})
		if err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there are no counts below " + strings.Join(results, ", "))
	}
	return all, nil
}

// read adds the counts of one object file, whose notes are beside them.
func (c counts) read(path string) error {
	cmd := exec.Command(gcov, "--json-format", "--stdout", filepath.Base(path))
	cmd.Dir = filepath.Dir(path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s of %s: %w\n%s", gcov, path, err, stderr.String())
	}
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var n note
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("what %s says of %s: %w", gcov, path, err)
		}
		c.add(n)
	}
}

// add adds those of a note's counts that are of the module's source, which is built in a directory of
// this name; the rest is of the kernel's headers.
func (c counts) add(n note) {
	const dir = "/kmod/"
	for _, f := range n.Files {
		at := strings.LastIndex(f.File, dir)
		if at < 0 {
			continue
		}
		name := f.File[at+len(dir):]
		if c[name] == nil {
			c[name] = map[int]uint64{}
		}
		for _, l := range f.Lines {
			c[name][l.Number] += l.Count
		}
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
