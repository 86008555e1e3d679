// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
)

// worked is a table of figures of these peers in these columns.
func worked(t *testing.T, work string, peers, columns []string) *table {
	t.Helper()
	var figures []figure
	for i, p := range peers {
		for j, c := range columns {
			figures = append(figures, figure{key{Peer: p, Work: work, Column: c, Unit: insn}, float64(100*(i+1) + 10*j)})
		}
	}
	all, err := tables(figures)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

var (
	two     = []string{"mytun", "stock"}
	sizes   = []string{"18 B x 1", "18 B x 8", "1400 B x 8", "18 B x 64", "1400 B x 64"}
	flowsIn = []string{"1 flows", "1000 flows", "1000000 flows"}
)

func TestWhichCharts(t *testing.T) {
	for _, tt := range []struct {
		name           string
		peers, columns []string
		want           []string
	}{
		{"bars and lines", two, sizes, []string{"a-b-batch.svg", "a-b.svg"}},
		{"nobody to compare with", two[:1], sizes, []string{"a-b-batch.svg"}},
		{"a line through all columns", two, flowsIn, []string{"a-b.svg"}},
		{"and of one peer", two[:1], []string{"1 queue", "4 queues", "64 queues"}, []string{"a-b.svg"}},
		{"two numbers make no line", two, []string{"2 queues, 1 flow", "2 queues, 1,000 flows", "else"}, []string{"a-b.svg"}},
		{"one column", two, []string{""}, []string{"a-b.svg"}},
		{"one figure", two[:1], []string{""}, nil},
	} {
		got := slices.Sorted(maps.Keys(charts(worked(t, "A, b", tt.peers, tt.columns))))
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestChartsAreTheSameEachTime(t *testing.T) {
	for _, columns := range [][]string{sizes, flowsIn} {
		want := charts(worked(t, "a", two, columns))
		for range 20 {
			got := charts(worked(t, "a", two, columns))
			if !maps.EqualFunc(got, want, bytes.Equal) {
				t.Fatal("the same figures make another chart")
			}
		}
	}
}

func TestChartsFollowTheFigures(t *testing.T) {
	for _, columns := range [][]string{sizes, flowsIn} {
		old, changed := worked(t, "a", two, columns), worked(t, "a", two, columns)
		changed.values[cell{"mytun", columns[0]}] *= 1.1
		for name, svg := range charts(changed) {
			if bytes.Equal(svg, charts(old)[name]) {
				t.Errorf("%s shows no change", name)
			}
		}
	}
}

func TestChartsHaveWords(t *testing.T) {
	red := fmt.Sprintf("#%02X%02X%02X", strong.R, strong.G, strong.B)
	for _, tt := range []struct {
		file    string
		columns []string
		words   []string
	}{
		{"stack-to-program.svg", sizes, []string{"stack to program", insn + ", less is better", "18 B x 64", "1400 B x 64",
			"mytun", "stock", "130", "140", red, "sans-serif", `fill:#FFFFFF`}},
		{"stack-to-program-batch.svg", sizes, []string{"stack to program, 18 B", "packets a batch", ">64<", "mytun", "stock", red,
			"sans-serif", `fill:#FFFFFF`}},
		{"stack-to-program.svg", flowsIn, []string{">flows<", "1,000,000", red}},
	} {
		svg := string(charts(worked(t, "stack to program", two, tt.columns))[tt.file])
		for _, word := range tt.words {
			if !strings.Contains(svg, word) {
				t.Errorf("%s of %q has no %q", tt.file, tt.columns, word)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s has something that is no number", tt.file)
		}
	}
}

func TestBarsOfFewColumns(t *testing.T) {
	for _, tt := range []struct {
		work          string
		columns, want []string
	}{
		{"stack to program", sizes, []string{"18 B x 64", "1400 B x 64"}},
		{"stack to program", sizes[:3], sizes[:3]},
		{"another", sizes, sizes[:3]},
		{"stack to program", flowsIn, flowsIn},
	} {
		if got := chosenColumns(worked(t, tt.work, two, tt.columns)); !slices.Equal(got, tt.want) {
			t.Errorf("%s of %q: %q, want %q", tt.work, tt.columns, got, tt.want)
		}
	}
}

func TestSweepIsSorted(t *testing.T) {
	got := sweeps(worked(t, "a", two, []string{"IMIX x 8", "18 B x 64", "18 B x 8", "18 B x 1", "0 flows", "1 flows", "2 flows"}))
	want := []point{{1, "18 B x 1"}, {8, "18 B x 8"}, {64, "18 B x 64"}}
	if len(got) != 1 || got[0].at != "18 B" || !slices.Equal(got[0].points, want) {
		t.Errorf("%+v", got)
	}
}

func TestNamesDoNotOverlap(t *testing.T) {
	for _, ys := range [][]vg.Length{{0, 1, 2, 100}, {96, 97, 98, 99}, {0, 50, 99, 100}, nil} {
		moved := slices.Clone(ys)
		spread(moved, 100)
		for i, y := range moved {
			if y > 100 || i > 0 && y < moved[i-1]+nameSpace-1e-9 {
				t.Errorf("%v became %v", ys, moved)
			}
		}
	}
}

func TestNamesOfEqualsAreApart(t *testing.T) {
	name := regexp.MustCompile(`<text x="[^"]*" y="([^"]*)"[^>]*>(mytun|stock)<`)
	tab := worked(t, "a", two, sizes)
	for at := range tab.values {
		tab.values[at] = 7
	}
	for file, svg := range charts(tab) {
		heights := make(map[string]bool)
		for _, m := range name.FindAllSubmatch(svg, -1) {
			heights[string(m[1])] = true
		}
		if len(heights) != 2 {
			t.Errorf("%s has two names at the heights %v", file, heights)
		}
	}
}

func TestMytunHasItsColor(t *testing.T) {
	red := regexp.MustCompile(`<path[^>]*#C2330C`)
	for name, svg := range charts(worked(t, "a", two, sizes)) {
		if !red.Match(svg) {
			t.Errorf("%s: nothing drawn is red", name)
		}
	}
	for name, svg := range charts(worked(t, "a", []string{"stock", "water"}, sizes)) {
		if red.Match(svg) {
			t.Errorf("%s: somebody else is red", name)
		}
	}
}

func TestBarsOfWhatWasMeasured(t *testing.T) {
	tab := worked(t, "a", []string{"mytun", "stock", "veth"}, sizes[:2])
	delete(tab.values, cell{"mytun", sizes[1]})
	delete(tab.values, cell{"veth", sizes[0]})
	svg := string(drawBars(tab, sizes[:1]))
	if strings.Contains(svg, "veth") {
		t.Error("a row without a bar")
	}
	if svg = string(drawBars(tab, sizes[:2])); !strings.Contains(svg, "veth") || strings.Contains(svg, ">0.00<") {
		t.Error("what was not measured has a figure, or what was has none")
	}
}

func TestAxisOfLargeNumbersIsLogarithmic(t *testing.T) {
	for _, tt := range []struct {
		columns []string
		middle  float64
	}{{flowsIn, 1000}, {[]string{"1 queue", "2 queues", "3 queues"}, 2}} {
		s := sweeps(worked(t, "a", two, tt.columns))[0]
		x := axesOf(s).X
		x.Min, x.Max = float64(s.points[0].x), float64(s.points[2].x)
		if got := x.Norm(tt.middle); got < 0.499 || got > 0.501 {
			t.Errorf("%v is at %v of the axis of %q", tt.middle, got, tt.columns)
		}
	}
}

// A cost above another one may come out as nothing, or less.
func TestChartsOfNothing(t *testing.T) {
	tab := worked(t, "a", two, sizes)
	for at := range tab.values {
		tab.values[at] = 0
	}
	tab.values[cell{"mytun", "18 B x 1"}] = -1
	for name, svg := range charts(tab) {
		if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
			t.Errorf("%s has something that is no number", name)
		}
	}
}
