// SPDX-License-Identifier: MIT

package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sweep is those columns of a work that differ in one number alone.
type sweep struct {
	file   string // what it adds to the chart's name
	axis   string // what is counted
	at     string // what is the same in all these columns, "18 B"; may be empty
	points []point
}

type point struct {
	x      int
	column string
}

var axes = []struct {
	file, label string
	column      *regexp.Regexp // what is the same, and the number
}{
	{"batch", "packets a batch", regexp.MustCompile(`^(.+) x ([\d,]+)$`)},
	{"queues", "queues", regexp.MustCompile(`^(?:(.+), )?([\d,]+) queues?$`)},
	{"flows", "flows", regexp.MustCompile(`^(?:(.+), )?([\d,]+) flows?$`)},
}

// minPoints make a line that shows more than its two ends.
const minPoints = 3

// sweeps returns one for each of the axes that the columns have: with the smallest packets, for one,
// which were measured first.
func sweeps(t *table) []sweep {
	var found []sweep
	for _, a := range axes {
		var at []string
		points := make(map[string][]point)
		for _, c := range t.columns {
			m := a.column.FindStringSubmatch(c)
			if m == nil {
				continue
			}
			x, err := strconv.Atoi(strings.ReplaceAll(m[2], ",", ""))
			if err != nil || x == 0 {
				continue // a logarithmic axis has no place for it
			}
			if !slices.Contains(at, m[1]) {
				at = append(at, m[1])
			}
			points[m[1]] = append(points[m[1]], point{x, c})
		}
		i := slices.IndexFunc(at, func(name string) bool { return len(points[name]) >= minPoints })
		if i < 0 {
			continue
		}
		ps := points[at[i]]
		slices.SortFunc(ps, func(a, b point) int { return a.x - b.x })
		found = append(found, sweep{a.file, a.label, at[i], ps})
	}
	return found
}
