// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// endLabels are the names of lines, right of their last points, where a reader need not look them up
// in a legend.
type endLabels []endLabel

type endLabel struct {
	peer string
	at   plotter.XY
}

const (
	leader    = 16 * vg.Length(1) // from a line's end to its name
	nameSpace = 1.25 * bodySize   // from one name to the next
)

// Plot implements plot.Plotter. Names of lines that end close to each other stand further apart.
func (e endLabels) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	sorted := slices.Clone(e)
	slices.SortStableFunc(sorted, func(a, b endLabel) int { return cmp.Compare(a.at.Y, b.at.Y) })
	ys := make([]vg.Length, len(sorted))
	for i, l := range sorted {
		ys[i] = toY(l.at.Y)
	}
	spread(ys, c.Max.Y)
	for i, l := range sorted {
		from := vg.Point{X: toX(l.at.X) + 5, Y: toY(l.at.Y)}
		to := vg.Point{X: c.Max.X + leader, Y: ys[i]}
		c.StrokeLine2(draw.LineStyle{Color: other, Width: 0.5}, from.X, from.Y, to.X-2, to.Y)
		c.FillText(peerStyle(l.peer), to, l.peer)
	}
}

// spread moves ascending positions apart, none above top if there is room below.
func spread(ys []vg.Length, top vg.Length) {
	for i := 1; i < len(ys); i++ {
		ys[i] = max(ys[i], ys[i-1]+nameSpace)
	}
	for i := len(ys) - 1; i >= 0; i-- {
		ys[i] = min(ys[i], top)
		top = ys[i] - nameSpace
	}
}

// GlyphBoxes implements plot.GlyphBoxer: it keeps room for the names.
func (e endLabels) GlyphBoxes(*plot.Plot) []plot.GlyphBox {
	var boxes []plot.GlyphBox
	for _, l := range e {
		end := leader + room(l.peer)
		boxes = append(boxes, plot.GlyphBox{X: 1, Y: 0.5, Rectangle: vg.Rectangle{Max: vg.Point{X: end, Y: 1}}})
	}
	return boxes
}
