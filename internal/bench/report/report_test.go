// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// measured is what a benchmark could have written.
const measured = `{"work":"stack to program","unit":"instructions/packet","column":"18 B x 1","peer":"mytun","value":1790.4}
{"work":"stack to program","unit":"instructions/packet","column":"18 B x 1","peer":"stock","value":1847}
{"work":"tunnel","unit":"Mbit/s","column":"TCP","peer":"mytun","value":69.6}
{"work":"tunnel","unit":"Mbit/s","column":"TCP","peer":"stock","value":18.1}
{"work":"stack to program","unit":"calls/packet","column":"18 B x 1","peer":"mytun","value":0.02}
{"work":"stack to program","unit":"calls/packet","column":"18 B x 1","peer":"stock","value":1}
{"work":"stack to program","unit":"instructions/packet","column":"18 B x 8","peer":"mytun","value":670}
{"work":"stack to program","unit":"instructions/packet","column":"18 B x 64","peer":"mytun","value":99.96}
{"work":"stack to program","unit":"instructions/packet","column":"18 B x 64","peer":"stock","value":1873}
{"work":"stack to program","unit":"instructions/packet","column":"18 B x 8","peer":"mytun, whole","value":640}
`

func write(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// runReport runs the command on figures, and returns what it prints.
func runReport(t *testing.T, o options, figures string) (stdout string, good bool) {
	t.Helper()
	var b strings.Builder
	good, err := run(&b, o, write(t, "figures", figures))
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), good
}

func equal(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func fails(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("error %v, want one that says %q", err, words)
	}
}

func TestEverythingAtOnce(t *testing.T) {
	dir := t.TempDir()
	doc := write(t, "doc.md", "<!-- figures: tunnel -->\n<!-- end of figures -->\n")
	file := filepath.Join(dir, "budget")
	stdout, good := runReport(t, options{out: filepath.Join(dir, "new"), markdown: doc, budget: file, lower: true}, measured)
	if !good || !strings.HasPrefix(stdout, "### stack to program\n") {
		t.Errorf("good %t, printed\n%s", good, stdout)
	}
	if !strings.Contains(read(t, doc), "**69.6**") {
		t.Errorf("the document became\n%s", read(t, doc))
	}
	for _, name := range []string{"stack-to-program.svg", "tunnel.svg"} {
		if !strings.Contains(read(t, filepath.Join(dir, "new", name)), "</svg>") {
			t.Errorf("%s is no picture", name)
		}
	}
	if !strings.Contains(read(t, filepath.Join(dir, "new", "stack-to-program.svg")), insn) {
		t.Error("the chart shows another unit than the first")
	}
	stdout, good = runReport(t, options{budget: file}, measured)
	if !good || strings.Contains(stdout, "#") {
		t.Errorf("good %t, printed\n%s", good, stdout)
	}
}

func TestBadInput(t *testing.T) {
	line, _, _ := strings.Cut(measured, "\n")
	for _, tt := range []struct{ figures, words string }{
		{"", "no figures"},
		{line + "\n{\"work\":\n", "figures:2:"},
		{line + "\n" + line + "\n", "measured twice"},
	} {
		_, err := run(&strings.Builder{}, options{}, write(t, "figures", tt.figures))
		fails(t, err, tt.words)
	}
	_, err := run(&strings.Builder{}, options{lower: true}, write(t, "figures", measured))
	fails(t, err, "needs -budget")
}
