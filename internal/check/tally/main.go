// SPDX-License-Identifier: MIT

// Command tally counts the results of tests. Its arguments are files: NAME.json as `go test -json`
// prints it, and NAME.lines with one line for each test,
//
//	ok TEST
//	not ok TEST: why
//	skip TEST: why
//	missing THING: why
//
// where the lines behind a failure that begin with "# " or are indented are what the test printed. Tally prints the
// failures, the reasons for skipping, what could not be tested since the outer world does not have it
// any more, and last of all "N passed, N failed, N skipped". It fails if a test failed, and also if
// there was none.
package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type status int

const (
	passed status = iota
	failed
	skipped
	missing // what to test, or to test with, could not be had: a kernel that left Debian's mirror
)

// A result is the end of one test.
type result struct {
	name   string
	status status
	why    string // of all but success, one line
	output string // of a failure
}

func main() {
	var all []result
	for _, path := range os.Args[1:] {
		results, err := read(path)
		if err != nil {
			results = append(results, result{name: path, status: failed, why: err.Error()})
		}
		all = append(all, results...)
	}
	dir := ""
	if len(os.Args) > 1 {
		dir = filepath.Dir(os.Args[1])
	}
	if !report(os.Stdout, all, dir) {
		os.Exit(1)
	}
}

// read returns the results in a file, each name behind that of the file.
func read(path string) ([]result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ext := filepath.Ext(path)
	var results []result
	switch ext {
	case ".json":
		results, err = readGo(f)
		for i := range results {
			results[i].output = clip(results[i].output, 300)
		}
	case ".lines":
		results, err = readLines(f)
	default:
		return nil, fmt.Errorf("results of the unknown kind %q", ext)
	}
	suite := strings.TrimSuffix(filepath.Base(path), ext)
	for i := range results {
		results[i].name = suite + ": " + results[i].name
	}
	return results, err
}

// report prints what is worth knowing, the results being in dir, and says whether all is well.
func report(w io.Writer, all []result, dir string) bool {
	var count [missing + 1]int
	var gone strings.Builder
	skips := map[string][]string{} // names by reason
	for _, r := range all {
		count[r.status]++
		switch r.status {
		case failed:
			fmt.Fprintf(w, "FAILED %s: %s\n", r.name, r.why)
			for line := range strings.Lines(r.output) {
				fmt.Fprintf(w, "    %s\n", strings.TrimRight(line, "\n"))
			}
		case skipped:
			skips[r.why] = append(skips[r.why], r.name)
		case missing:
			fmt.Fprintf(&gone, "MISSING %s: %s\n", r.name, r.why)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(skips)) {
		fmt.Fprintf(w, "skipped, %s:\n", why)
		for _, name := range skips[why] {
			fmt.Fprintf(w, "    %s\n", name)
		}
	}
	tests := len(all) - count[missing]
	if tests == 0 {
		fmt.Fprintln(w, "no test was run")
	}
	if count[failed] > 0 && dir != "" {
		fmt.Fprintf(w, "everything that was printed is in %s\n", dir)
	}
	if count[missing] > 0 { // near the end, where it is seen
		fmt.Fprintf(w, "%s%d MISSING, and so not tested\n", gone.String(), count[missing])
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", count[passed], count[failed], count[skipped])
	return count[failed] == 0 && tests > 0
}

// clip leaves the middle out of a long text: a crash says why at its beginning, a test at its end. What
// reporters say is as long as they want it: a kernel's reports are whole.
func clip(s string, n int) string {
	lines := strings.SplitAfter(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > 2*n {
		lines = slices.Concat(lines[:n], []string{"...\n"}, lines[len(lines)-n:])
	}
	return strings.Join(lines, "")
}
