// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	beginMark = "<!-- figures"
	endMark   = "<!-- end of figures -->"
)

// replaceTables puts tables where a file has marks for them.
func replaceTables(path string, all []*table) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := replaced(string(old), all)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

func replaced(text string, all []*table) (string, error) {
	var b strings.Builder
	inside, pairs := false, 0
	for line := range strings.Lines(text) {
		mark := strings.TrimSpace(line)
		if mark == endMark {
			if !inside {
				return "", fmt.Errorf("%s without a beginning", endMark)
			}
			inside = false
			b.WriteString(line)
			continue
		}
		names, begins, err := parseMark(mark)
		switch {
		case err != nil:
			return "", err
		case begins && inside:
			return "", fmt.Errorf("%s where %s was expected", mark, endMark)
		case begins:
			chosen, err := choose(all, names)
			if err != nil {
				return "", fmt.Errorf("%s: %w", mark, err)
			}
			b.WriteString(line + "\n" + markdown(chosen) + "\n")
			inside = true
			pairs++
		case !inside:
			b.WriteString(line)
		}
	}
	if inside {
		return "", fmt.Errorf("no %s", endMark)
	}
	if pairs == 0 {
		return "", errors.New("no place for tables: a line " + beginMark + " --> and a line " + endMark)
	}
	return b.String(), nil
}

// parseMark returns the works that a line names which begins a place for tables.
func parseMark(mark string) (names []string, begins bool, err error) {
	list, begins := strings.CutPrefix(mark, beginMark)
	if !begins {
		return nil, false, nil
	}
	list, closed := strings.CutSuffix(list, "-->")
	list, named := strings.CutPrefix(strings.TrimSpace(list), ":")
	if !closed || !named && list != "" {
		return nil, false, fmt.Errorf("%q is neither %s --> nor %s: WORK; WORK -->", mark, beginMark, beginMark)
	}
	if !named {
		return nil, true, nil
	}
	for name := range strings.SplitSeq(list, ";") {
		names = append(names, strings.TrimSpace(name))
	}
	return names, true, nil
}

// choose returns the tables of the works that are named, in that order, or all. A name may have columns
// after it, "WORK [COLUMN, COLUMN]", which are all that the table then has.
func choose(all []*table, names []string) ([]*table, error) {
	if names == nil {
		return all, nil
	}
	var chosen []*table
	for _, name := range names {
		work, list, some := strings.Cut(strings.TrimSuffix(name, "]"), " [")
		columns := strings.Split(list, ", ")
		found := false
		for _, t := range all {
			if t.work != work {
				continue
			}
			found = true
			if some {
				for _, c := range columns {
					if !slices.Contains(t.columns, c) {
						return nil, fmt.Errorf("%q has no column %q", work, c)
					}
				}
				t = t.only(columns)
			}
			chosen = append(chosen, t)
		}
		if !found {
			return nil, fmt.Errorf("%q has not been measured", work)
		}
	}
	return chosen, nil
}

// only is the table with some of its columns, and the peers that have one of them.
func (t *table) only(columns []string) *table {
	some := *t
	some.columns = columns
	some.peers = nil
	for _, p := range t.peers {
		if slices.ContainsFunc(columns, func(c string) bool { _, ok := t.values[cell{p, c}]; return ok }) {
			some.peers = append(some.peers, p)
		}
	}
	return &some
}
