// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"strings"
)

// explanations are why lines are not reached.
type explanations struct {
	reasons map[line][]string // as many as there are such lines in the function, from its top
	order   []line            // as they stand in the file
}

// parseExplanations reads paragraphs of a reason, and the lines that it is of, indented:
//
//	The kernel's own code says no only when it is out of memory.
//		attach.c: mytun_grow: return err;
//
// Lines of one function that read the same are each explained by themselves, in their order. A line that begins with # is
// for who reads the file.
func parseExplanations(text string) (explanations, error) {
	all := explanations{reasons: map[line][]string{}}
	reason, lines := "", 0
	end := func() error {
		if reason != "" && lines == 0 {
			return fmt.Errorf("a reason for nothing: %s", reason)
		}
		reason, lines = "", 0
		return nil
	}
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\n")
		rest, indented := strings.CutPrefix(l, "\t")
		switch {
		case strings.HasPrefix(l, "#"):
		case l == "":
			if err := end(); err != nil {
				return all, err
			}
		case !indented && lines > 0:
			return all, fmt.Errorf("a reason behind its lines, without an empty line between: %s", l)
		case !indented:
			reason = strings.TrimSpace(reason + " " + l)
		case reason == "":
			return all, errors.New("a line without a reason: " + rest)
		default:
			parts := strings.SplitN(rest, ": ", 3)
			if len(parts) != 3 {
				return all, errors.New("not FILE: FUNCTION: TEXT: " + rest)
			}
			key := line{parts[0], parts[1], parts[2]}
			if len(all.reasons[key]) == 0 {
				all.order = append(all.order, key)
			}
			all.reasons[key] = append(all.reasons[key], reason)
			lines++
		}
	}
	return all, end()
}
