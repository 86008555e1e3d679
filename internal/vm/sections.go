// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// The guest's run-tests prints the output of each test program between lines that say where it
// begins and ends. All of it comes over one line, so that what a machine printed before it died is
// there to be counted.
const (
	sectionBegin = "@@ begin "
	sectionEnd   = "@@ end "
)

// A section is the output of one test program.
type section struct {
	kind   string // "go": of a test binary; "lines": the reporter's lines
	name   string
	text   string
	status string // of the program; empty if the machine ended first
}

func readSections(path string) ([]section, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return splitSections(string(text)), nil
}

func splitSections(text string) []section {
	var all []section
	open := false
	for line := range strings.Lines(text) {
		trimmed := strings.TrimRight(line, "\n")
		if rest, ok := strings.CutPrefix(trimmed, sectionBegin); ok {
			kind, name, _ := strings.Cut(rest, " ")
			all = append(all, section{kind: kind, name: name})
			open = true
			continue
		}
		if !open {
			continue
		}
		s := &all[len(all)-1]
		if status, ok := strings.CutPrefix(trimmed, sectionEnd); ok {
			s.status = status
			open = false
			continue
		}
		s.text += line
	}
	return all
}

// reporterLines returns the results in a section of lines, with one more where the program did not
// end well and told no failure.
func (s section) reporterLines() string {
	failure := strings.HasPrefix(s.text, "not ok ") || strings.Contains(s.text, "\nnot ok ")
	tested := failure || strings.HasPrefix(s.text, "ok ") || strings.Contains(s.text, "\nok ") ||
		strings.HasPrefix(s.text, "skip ") || strings.Contains(s.text, "\nskip ") ||
		strings.HasPrefix(s.text, "# none of the tests is in this share\n")
	end := commented(lastLines(s.text, 40))
	switch {
	case s.status == "":
		return s.text + fmt.Sprintf("\nnot ok %s: the machine ended in the middle of it\n%s", s.name, end)
	case s.status != "0" && !failure:
		return s.text + fmt.Sprintf("\nnot ok %s: exit status %s\n%s", s.name, s.status, end)
	case !tested:
		return fmt.Sprintf("not ok %s: it reported no test\n%s", s.name, end)
	}
	return s.text
}

// writeResults writes a section's results to the file path, whose ending tells their format. A
// section may come twice: its tests, and what went wrong after them.
func (s section) writeResults(path string) error {
	if s.kind == "go" {
		return writeGoEvents(s, path+".json")
	}
	f, err := os.OpenFile(path+".lines", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s.reporterLines())
	return errors.Join(err, f.Close())
}

// writeGoEvents turns the output of a test binary into the events of `go test -json`.
func writeGoEvents(s section, path string) error {
	text := s.text
	if s.status != "0" {
		// Whatever the tests said: a binary that fails, or never ends, is a package that fails.
		text += "\nFAIL\n"
	}
	cmd := exec.Command("go", "tool", "test2json", "-p", s.name)
	cmd.Stdin = strings.NewReader(text)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	events, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, lastLines(stderr.String(), 10))
	}
	return os.WriteFile(path, events, 0o644)
}

// progress shows on the terminal which section a guest is at.
type progress struct {
	suite string
	begun time.Time
	name  string
	line  []byte
}

func (p *progress) Write(b []byte) (int, error) {
	for _, c := range b {
		if c != '\n' {
			p.line = append(p.line, c)
			continue
		}
		if rest, ok := strings.CutPrefix(string(p.line), sectionBegin); ok {
			p.end()
			_, p.name, _ = strings.Cut(rest, " ")
			p.begun = time.Now()
		}
		p.line = p.line[:0]
	}
	return len(b), nil
}

func (p *progress) end() {
	if p.name != "" {
		step("%s: %s, %.0f s", p.suite, p.name, time.Since(p.begun).Seconds())
		p.name = ""
	}
}
