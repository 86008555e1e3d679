// SPDX-License-Identifier: MIT

package main

import (
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	rowHeight = 19 * vg.Length(1)
	barHeight = 12 * vg.Length(1)
	gap       = 8 * vg.Length(1)
)

// drawBars draws a row for each peer and a bar for each column, all of one scale. Each bar has its
// figure beside it, so that there is no axis.
func drawBars(t *table, columns []string) []byte {
	peers := slices.DeleteFunc(slices.Clone(t.peers), func(p string) bool {
		return !slices.ContainsFunc(columns, func(c string) bool { _, ok := t.values[cell{p, c}]; return ok })
	})
	height := 2*margin + headSize + 2.5*bodySize + rowHeight*vg.Length(len(peers)+1)
	return page(height, t.work, subtitle(t.unit), func(c draw.Canvas) {
		names, figures, top := vg.Length(0), vg.Length(0), 0.0
		for _, p := range peers {
			names = max(names, room(p))
			for _, column := range columns {
				v := t.values[cell{p, column}]
				top = max(top, v)
				figures = max(figures, peerStyle(p).Width(number(v)))
			}
		}
		if top == 0 {
			top = 1 // all bars are empty
		}
		names += gap
		each := (c.Max.X - c.Min.X - names) / vg.Length(len(columns))
		scale := (each - figures - 2*gap) / vg.Length(top)
		for i, column := range columns {
			left := c.Min.X + names + each*vg.Length(i)
			y := c.Max.Y - rowHeight/2
			c.FillText(textStyle(bodySize, draw.XLeft), vg.Point{X: left, Y: y}, column)
			for _, p := range peers {
				y -= rowHeight
				v, ok := t.values[cell{p, column}]
				if !ok {
					continue
				}
				// Less than nothing is noise of a cost above another one.
				end := left + max(0, scale*vg.Length(v))
				c.FillPolygon(peerColor(p), []vg.Point{
					{X: left, Y: y - barHeight/2}, {X: left, Y: y + barHeight/2},
					{X: end, Y: y + barHeight/2}, {X: end, Y: y - barHeight/2},
				})
				c.FillText(peerStyle(p), vg.Point{X: end + gap/2, Y: y}, number(v))
			}
			c.StrokeLine2(draw.LineStyle{Color: ink, Width: 0.5}, left, c.Max.Y-rowHeight, left, y-rowHeight/2)
		}
		y := c.Max.Y - rowHeight/2
		for _, p := range peers {
			y -= rowHeight
			c.FillText(peerStyle(p), vg.Point{X: c.Min.X, Y: y}, p)
		}
	})
}
