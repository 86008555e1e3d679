// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
)

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events
	Test       string
	Output     string
}

// goTest is what the events have said so far of one test, or, with no name, of a package.
type goTest struct {
	pkg, name string
	action    string // pass, fail, skip; empty while it runs
	output    strings.Builder
	parent    bool // it has subtests
	seen      bool // an event was about it: a subtest's name may have slashes of its own
}

// readGo reads the events of `go test -json`. Tests without subtests count, each as one. A test with
// subtests counts only where it failed by itself, and so does a package: one that did not build,
// or that ended in the middle.
func readGo(r io.Reader) ([]result, error) {
	tests := map[string]*goTest{}
	var order []*goTest
	find := func(pkg, name string) *goTest {
		key := pkg + "\x00" + name
		t := tests[key]
		if t == nil {
			t = &goTest{pkg: pkg, name: name}
			tests[key] = t
			order = append(order, t)
		}
		return t
	}

	in := bufio.NewScanner(r)
	in.Buffer(nil, 16<<20)
	var stray strings.Builder // what is no event: the go command itself speaks
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			stray.WriteString(in.Text() + "\n")
			continue
		}
		pkg := e.Package
		if pkg == "" {
			pkg, _, _ = strings.Cut(e.ImportPath, " ") // "PATH [PATH.test]"
		}
		t := find(pkg, e.Test)
		t.seen = true
		switch e.Action {
		case "output", "build-output":
			t.output.WriteString(e.Output)
		case "pass", "fail", "skip":
			t.action = e.Action
		case "build-fail":
			t.action = "fail"
		}
		for name := e.Test; strings.Contains(name, "/"); {
			name = name[:strings.LastIndexByte(name, '/')]
			find(pkg, name).parent = true
		}
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	if len(order) == 0 {
		return nil, errors.New("go test printed no event:\n" + stray.String())
	}
	return count(order), nil
}

func count(order []*goTest) []result {
	// Whose failure is explained by that of something within it.
	explained := map[string]bool{}
	for _, t := range order {
		if t.name == "" || !t.seen || t.action == "pass" || t.action == "skip" {
			continue
		}
		explained[t.pkg+"\x00"] = true
		for name := t.name; strings.Contains(name, "/"); {
			name = name[:strings.LastIndexByte(name, '/')]
			explained[t.pkg+"\x00"+name] = true
		}
	}
	var results []result
	for _, t := range order {
		r := result{name: t.pkg + " " + t.name, output: t.output.String()}
		whole := t.parent || t.name == ""
		switch {
		case !t.seen:
			continue
		case t.action == "skip" && t.name == "": // a package without tests
			continue
		case whole && (t.action == "pass" || explained[t.pkg+"\x00"+t.name]):
			continue
		case whole && t.name == "" && t.action == "":
			continue // a package of which only remarks were seen
		case t.action == "pass":
			r.status = passed
		case t.action == "skip":
			r.status, r.why = skipped, reason(r.output)
		case t.action == "fail" && t.name == "":
			r.status, r.why = failed, "the package failed outside of its tests"
		case t.action == "fail":
			r.status, r.why = failed, "failed"
		default:
			r.status, r.why = failed, "did not come to its end"
		}
		r.name = strings.TrimSpace(r.name)
		results = append(results, r)
	}
	return results
}

var (
	frame    = regexp.MustCompile(`^\s*(=== |--- )`)
	position = regexp.MustCompile(`^\s*\S+\.go:\d+: `)
)

// reason is what a test said when it skipped: the last of its own lines.
func reason(output string) string {
	why := "no reason given"
	for line := range strings.Lines(output) {
		if !frame.MatchString(line) {
			why = strings.TrimSpace(position.ReplaceAllString(line, ""))
		}
	}
	return why
}
