// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A line is what an explanation calls a line: by what it says, as numbers change. A function may have
// several of the same text, which share their explanation.
type line struct{ file, function, text string }

func (l line) String() string { return fmt.Sprintf("%s: %s: %s", l.file, l.function, l.text) }

// A source is a file of the module, in the kernel's style: what stands in the first column tells where
// a function begins and ends.
type source struct {
	name      string
	lines     []string
	functions []string // the function that each line is of, or ""
	body      []bool   // the line is between a function's braces
}

func readSources(kmod string) (map[string]*source, error) {
	all := map[string]*source{}
	err := filepath.WalkDir(kmod, func(path string, d fs.DirEntry, err error) error {
		ext := filepath.Ext(path)
		if err != nil || d.IsDir() || ext != ".c" && ext != ".h" || strings.HasSuffix(path, ".mod.c") {
			return err
		}
		name, err := filepath.Rel(kmod, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		all[name] = newSource(name, string(text))
		return err
	})
	return all, err
}

// head matches the beginning of a function, or of what a macro defines as one.
var head = regexp.MustCompile(`^(?:[A-Za-z_][^;=(]*\W)?(\w+)\(`)

func newSource(name, text string) *source {
	s := &source{name: name, lines: strings.Split(text, "\n")}
	function, inside := "", false
	for _, l := range s.lines {
		if m := head.FindStringSubmatch(l); m != nil && !inside {
			function = m[1]
		}
		s.functions = append(s.functions, function)
		s.body = append(s.body, inside && !strings.HasPrefix(l, "}"))
		switch {
		case l == "{":
			inside = true
		case strings.HasPrefix(l, "}"):
			function, inside = "", false
		}
	}
	return s
}

func (s *source) line(number int) line {
	return line{s.name, s.functions[number-1], strings.TrimSpace(s.lines[number-1])}
}

func (s *source) has(l line) bool {
	for i := range s.lines {
		if s.line(i+1) == l {
			return true
		}
	}
	return false
}

// A lineRange is some lines of a function that no build has code for.
type lineRange struct{ first, last, code int }

// leftOut returns what the preprocessor leaves out in all builds that hit is of: parts of functions, from
// one directive to the next, without a line that is counted.
func (s *source) leftOut(hit map[int]uint64) []lineRange {
	var all []lineRange
	var part lineRange
	counted, conditional := false, 0
	end := func() {
		if part.code > 0 && !counted && conditional > 0 {
			all = append(all, part)
		}
		part, counted = lineRange{}, false
	}
	for i, l := range s.lines {
		trimmed := strings.TrimSpace(l)
		switch {
		case strings.HasPrefix(l, "#if"):
			end()
			conditional++
		case strings.HasPrefix(l, "#el"):
			end()
		case strings.HasPrefix(l, "#endif"):
			end()
			conditional--
		case strings.HasPrefix(l, "}"):
			if _, ok := hit[i+1]; ok {
				counted = true
			}
			end()
		case s.body[i] && trimmed != "" && !isComment(trimmed):
			if part.code == 0 {
				part.first = i + 1
			}
			part.last = i + 1
			part.code++
		}
		if _, ok := hit[i+1]; ok {
			counted = true
		}
	}
	return all
}

func isComment(trimmed string) bool {
	return strings.HasPrefix(trimmed, "/*") || strings.HasPrefix(trimmed, "*")
}
