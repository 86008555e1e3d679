// SPDX-License-Identifier: MIT

package main

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const lineChartHeight = 320 * vg.Length(1)

// A number that grows by more than this is shown on a logarithmic axis.
const linearGrowth = 10

// line is the figures of one peer.
type line struct {
	peer string
	draw.LineStyle
	plotter.XYs
}

// lines are those of the peers, mytun's last and so above the others.
func lines(t *table, s sweep) []line {
	// The others differ in darkness and, when these run out, in dashes.
	greys := []color.RGBA{
		{0x3a, 0x47, 0x52, 0xff}, {0x74, 0x82, 0x8e, 0xff}, {0xa9, 0xb4, 0xbd, 0xff},
	}
	dashes := [][]vg.Length{nil, {6, 3}, {1.5, 2.5}}
	var others, own []line
	for _, p := range t.peers {
		l := line{peer: p}
		for _, at := range s.points {
			if v, ok := t.values[cell{p, at.column}]; ok {
				l.XYs = append(l.XYs, plotter.XY{X: float64(at.x), Y: v})
			}
		}
		switch {
		case len(l.XYs) < 2:
			continue
		case isMytun(p):
			l.LineStyle = draw.LineStyle{Color: peerColor(p), Width: 2.5}
			own = append(own, l)
		default:
			n := len(others)
			l.LineStyle = draw.LineStyle{
				Color: greys[n%len(greys)], Width: 1.5, Dashes: dashes[n/len(greys)%len(dashes)],
			}
			others = append(others, l)
		}
	}
	return append(others, own...)
}

func drawLines(t *table, s sweep) []byte {
	title := t.work
	if s.at != "" {
		title += ", " + s.at
	}
	p := axesOf(s)
	var ends endLabels
	for _, l := range lines(t, s) {
		p.Add(
			&plotter.Line{XYs: l.XYs, LineStyle: l.LineStyle},
			&plotter.Scatter{XYs: l.XYs, GlyphStyle: draw.GlyphStyle{
				Color: l.Color, Radius: 1.2 * l.Width, Shape: draw.CircleGlyph{},
			}},
		)
		ends = append(ends, endLabel{l.peer, l.XYs[len(l.XYs)-1]})
	}
	p.Add(ends)
	p.Y.Min, p.Y.Max = 0, 1.05*p.Y.Max
	return page(lineChartHeight, title, subtitle(t.unit), p.Draw)
}

// axesOf is a plot without lines: an axis with a mark for each number that was measured, and faint
// lines across.
func axesOf(s sweep) *plot.Plot {
	p := plot.New()
	p.X.Label.Text = s.axis
	p.X.Label.Padding = 4
	p.X.Label.TextStyle = textStyle(bodySize, draw.XCenter)
	p.X.Label.TextStyle.YAlign = draw.YBottom
	p.X.Tick.Label.Color, p.X.Tick.Label.Font.Size = ink, bodySize
	p.Y.Tick.Label.Color, p.Y.Tick.Label.Font.Size = ink, bodySize
	p.X.LineStyle = draw.LineStyle{Color: ink, Width: 0.5}
	p.X.Tick.LineStyle, p.X.Tick.Length = p.X.LineStyle, 4
	p.Y.LineStyle.Width, p.Y.Tick.Length = 0, 0
	p.X.Padding, p.Y.Padding = 0, 2

	var marks plot.ConstantTicks
	for _, at := range s.points {
		marks = append(marks, plot.Tick{Value: float64(at.x), Label: thousands(at.x)})
	}
	p.X.Tick.Marker = marks
	if s.points[len(s.points)-1].x > linearGrowth*s.points[0].x {
		p.X.Scale = plot.LogScale{}
	}
	grid := &plotter.Grid{Horizontal: draw.LineStyle{Color: faint, Width: 0.75}}
	p.Add(grid)
	return p
}
