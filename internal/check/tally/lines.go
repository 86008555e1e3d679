// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"io"
	"strings"
)

// readLines reads the reporter's lines. What is neither a result nor belongs to a failure is a
// remark for people, and passed over.
func readLines(r io.Reader) ([]result, error) {
	var results []result
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		line := in.Text()
		text, ok := strings.CutPrefix(line, "# ")
		if !ok {
			text, ok = strings.CutPrefix(line, "    ")
		}
		if ok {
			if n := len(results); n > 0 && results[n-1].status == failed {
				results[n-1].output += text + "\n"
			}
			continue
		}
		for _, kind := range []struct {
			prefix string
			status status
		}{{"ok ", passed}, {"not ok ", failed}, {"skip ", skipped}, {"missing ", missing}} {
			if text, ok := strings.CutPrefix(line, kind.prefix); ok {
				name, why, found := strings.Cut(text, ": ")
				if !found && kind.status != passed {
					why = "no reason given"
				}
				results = append(results, result{name: name, status: kind.status, why: why})
				break
			}
		}
	}
	return results, in.Err()
}
