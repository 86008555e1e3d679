// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// table is the figures of one work that have one unit.
type table struct {
	work, unit     string
	peers, columns []string // in the order in which they were measured
	values         map[cell]float64
}

type cell struct{ peer, column string }

// tables sorts figures into tables, those of one work beside each other.
func tables(figures []figure) ([]*table, error) {
	var works []string
	var all []*table
	for _, f := range figures {
		if !slices.Contains(works, f.Work) {
			works = append(works, f.Work)
		}
		i := slices.IndexFunc(all, func(t *table) bool { return t.work == f.Work && t.unit == f.Unit })
		if i < 0 {
			i = len(all)
			all = append(all, &table{work: f.Work, unit: f.Unit, values: make(map[cell]float64)})
		}
		t, at := all[i], cell{f.Peer, f.Column}
		if _, ok := t.values[at]; ok {
			return nil, fmt.Errorf("%s, %s, by %s has been measured twice", f.Work, f.Column, f.Peer)
		}
		t.values[at] = f.Value
		if !slices.Contains(t.peers, f.Peer) {
			t.peers = append(t.peers, f.Peer)
		}
		if !slices.Contains(t.columns, f.Column) {
			t.columns = append(t.columns, f.Column)
		}
	}
	slices.SortStableFunc(all, func(a, b *table) int {
		return slices.Index(works, a.work) - slices.Index(works, b.work)
	})
	return all, nil
}

// best is the value of a column that is to be seen at once, as it is shown; empty where all are
// equal, or there is just one.
func (t *table) best(column string) string {
	var shown []string
	var best float64
	for _, p := range t.peers {
		v, ok := t.values[cell{p, column}]
		if !ok {
			continue
		}
		if len(shown) == 0 || v < best != isRate(t.unit) && v != best {
			best = v
		}
		shown = append(shown, number(v))
	}
	if !slices.ContainsFunc(shown, func(s string) bool { return s != number(best) }) {
		return ""
	}
	return number(best)
}

// rows are those of the table, its head first.
func (t *table) rows() [][]string {
	best := make(map[string]string)
	for _, c := range t.columns {
		best[c] = t.best(c)
	}
	rows := [][]string{append([]string{t.unit}, t.columns...)}
	for _, p := range t.peers {
		row := []string{p}
		for _, c := range t.columns {
			text := ""
			if v, ok := t.values[cell{p, c}]; ok {
				if text = number(v); text == best[c] {
					text = "**" + text + "**"
				}
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return rows
}

// markdown is tables that can also be read as they are, in a terminal.
func markdown(all []*table) string {
	var b strings.Builder
	for i, t := range all {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == 0 || t.work != all[i-1].work {
			fmt.Fprintf(&b, "### %s\n\n", t.work)
		}
		writeAligned(&b, t.rows())
	}
	return b.String()
}

func writeAligned(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for n, row := range rows {
		for i, text := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if i == 0 {
				b.WriteString("| " + text + pad + " |")
			} else {
				b.WriteString(" " + pad + text + " |")
			}
		}
		b.WriteByte('\n')
		if n > 0 {
			continue
		}
		for i, w := range widths {
			if i == 0 {
				b.WriteString("|" + strings.Repeat("-", w+2) + "|")
			} else {
				b.WriteString(strings.Repeat("-", w+1) + ":|")
			}
		}
		b.WriteByte('\n')
	}
}
