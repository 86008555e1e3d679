// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	slack     = 0.02  // of the budget: by so much do two runs of the same program differ
	tinySlack = 0.005 // of costs near zero, a call in hundreds of packets for one
)

// budget is what mytun may cost.
type budget struct {
	path    string
	head    string // the comments before the entries
	entries []figure
}

// readBudget reads lines "value<TAB>peer<TAB>work<TAB>column<TAB>unit".
func readBudget(path string) (*budget, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b := &budget{path: path}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if len(b.entries) == 0 && (strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "") {
			b.head += line
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 {
			return nil, fmt.Errorf("%s:%d: not a value, peer, work, column and unit with tabs between them", path, n)
		}
		v, err := strconv.ParseFloat(f[0], 64)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		e := figure{key{Peer: f[1], Work: f[2], Column: f[3], Unit: f[4]}, v}
		if _, ok := find(b.entries, e.key); ok {
			return nil, fmt.Errorf("%s:%d: the same again", path, n)
		}
		b.entries = append(b.entries, e)
	}
	return b, nil
}

// budgeted tells which figures have a budget: what mytun's packets cost, in instructions. Events depend
// on what else the kernel does at that moment, and so does the cost of a second without packets.
func budgeted(f figure) bool {
	return isMytun(f.Peer) && strings.HasPrefix(f.Unit, "instructions/") && f.Unit != "instructions/second"
}

func find(figures []figure, k key) (value float64, ok bool) {
	i := slices.IndexFunc(figures, func(f figure) bool { return f.key == k })
	if i < 0 {
		return 0, false
	}
	return figures[i].Value, true
}

// check prints a result for each figure that has a budget or should have one, and says whether all is
// well.
func (b *budget) check(w io.Writer, figures []figure) bool {
	good := true
	result := func(k key, status, why string) {
		good = good && status != "not ok"
		fmt.Fprintf(w, "%s %s%s\n", status, testName(k), why)
	}
	for _, f := range figures {
		if !budgeted(f) {
			continue
		}
		limit, ok := find(b.entries, f.key)
		if !ok {
			result(f.key, "not ok", fmt.Sprintf(": %s %s, and %s has no budget for it", number(f.Value), f.Unit, b.path))
			continue
		}
		d := f.Value - limit
		compared := fmt.Sprintf("%s %s, the budget is %s", number(f.Value), f.Unit, number(limit))
		switch {
		case math.Abs(d) <= max(slack*limit, tinySlack):
			result(f.key, "ok", "")
		case d > 0:
			result(f.key, "not ok", ": "+compared+": "+more(d, limit))
		default:
			fmt.Fprintf(w, "# %s: better: make bench LOWER=1 lowers it\n", compared)
			result(f.key, "ok", "")
		}
	}
	for _, e := range b.entries {
		if _, ok := find(figures, e.key); !ok {
			result(e.key, "not ok", fmt.Sprintf(": not measured, and %s has a budget for it", b.path))
		}
	}
	return good
}

// testName is short where it can be: most figures are of the peer "mytun" itself, and a work that is
// measured in one way has a column without a name.
func testName(k key) string {
	name := strings.TrimSuffix("bench/"+k.Work+" "+k.Column, " ")
	if k.Peer != "mytun" {
		name += ", " + k.Peer
	}
	return name
}

func more(d, limit float64) string {
	if limit == 0 {
		return "more"
	}
	return fmt.Sprintf("%.1f %% more", 100*d/limit)
}

// worst is, of figures that were measured several times, the highest value: where the kernel's memory lies
// is worth a percent or two from one boot to the next.
func worst(figures []figure) (once []figure) {
	at := make(map[key]int)
	for _, f := range figures {
		if i, ok := at[f.key]; ok {
			once[i].Value = max(once[i].Value, f.Value)
			continue
		}
		at[f.key] = len(once)
		once = append(once, f)
	}
	return once
}

// lowerBudget makes what was measured the budget. What was not measured has none any more.
func lowerBudget(path string, figures []figure) error {
	b, err := readBudget(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = &budget{}, nil
	}
	if err != nil {
		return err
	}
	text := b.head
	for _, f := range figures {
		if budgeted(f) {
			value := strconv.FormatFloat(math.Round(f.Value*1000)/1000, 'f', -1, 64)
			text += strings.Join([]string{value, f.Peer, f.Work, f.Column, f.Unit}, "\t") + "\n"
		}
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
