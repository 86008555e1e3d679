// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// barColumns are the columns that a chart of bars shows, of works that have more of them than anybody
// compares at a glance.
var barColumns = map[string][]string{
	"stack to program": {"18 B x 64", "1400 B x 64", "IMIX x 64"},
	"program to stack": {"18 B x 64", "1400 B x 64", "IMIX x 64"},
}

// maxColumns are shown of a work that is not in the list.
const maxColumns = 3

// drawCharts writes the charts of all works into a directory. Of a work with figures in several units
// it shows those of the first, the work's cost.
func drawCharts(dir string, all []*table) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i, t := range all {
		if i > 0 && all[i-1].work == t.work {
			continue
		}
		for name, svg := range charts(t) {
			if err := os.WriteFile(filepath.Join(dir, name), svg, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// charts returns the files of one work, by name. WORK.svg has bars, if several peers did it, and
// WORK-batch.svg, or -queues or -flows, has lines; but WORK.svg has these where a line goes through all
// columns, so that bars would say the same less well.
func charts(t *table) map[string][]byte {
	files := make(map[string][]byte)
	name := fileName(t.work)
	for _, s := range sweeps(t) {
		if len(s.points) == len(t.columns) {
			return map[string][]byte{name + ".svg": drawLines(t, s)}
		}
		files[name+"-"+s.file+".svg"] = drawLines(t, s)
	}
	if len(t.peers) > 1 {
		files[name+".svg"] = drawBars(t, chosenColumns(t))
	}
	return files
}

func chosenColumns(t *table) []string {
	if len(t.columns) <= maxColumns {
		return t.columns
	}
	var chosen []string
	for _, c := range barColumns[t.work] {
		if slices.Contains(t.columns, c) {
			chosen = append(chosen, c)
		}
	}
	if chosen == nil {
		return t.columns[:maxColumns]
	}
	return chosen
}

// fileName is a work's name without what is awkward in one.
func fileName(work string) string {
	words := strings.FieldsFunc(strings.ToLower(work), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}
