// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"io"
	"maps"
	"slices"
	"strings"
)

// Sizes in pixels.
const (
	flameWidth  = 1600.0
	flameRow    = 17
	flameHead   = 52 // title and legend
	flameMargin = 10
	flameLeast  = 0.3 // what is narrower is left out
	flameLetter = 6.7 // width of one, at the font's size
)

var partColours = [parts]string{"#e8743b", "#f2b134", "#9fb8d3", "#d0d0d0", "#a5d0a0", "#e6e6e6"}

// flame is a graph in the making.
type flame struct {
	bytes.Buffer
	bottom  int     // of the outermost functions
	scale   float64 // pixels of one instruction
	all     float64 // instructions
	packets float64
}

// writeFlame draws the calls as a flame graph: each function above its caller, as wide as it has
// instructions, with those that it calls. The numbers are the titles of the boxes, which browsers show
// under the pointer.
func writeFlame(w io.Writer, root *frame, packets float64, title string) error {
	rows := depth(root, flameWidth/float64(root.total)) - 1
	height := flameHead + rows*flameRow + flameMargin
	g := &flame{
		bottom: flameHead + rows*flameRow, scale: flameWidth / float64(root.total),
		all: float64(root.total), packets: packets,
	}
	fmt.Fprintf(g, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="monospace" font-size="11">`+"\n",
		int(flameWidth)+2*flameMargin, height)
	fmt.Fprintln(g, `<rect width="100%" height="100%" fill="white"/>`)
	fmt.Fprintf(g, `<text x="%d" y="18" font-size="14">%s</text>`+"\n", flameMargin, html.EscapeString(title))
	x := flameMargin
	for part, name := range partNames {
		fmt.Fprintf(g, `<rect x="%d" y="28" width="12" height="12" fill="%s"/><text x="%d" y="38">%s</text>`+"\n",
			x, partColours[part], x+17, html.EscapeString(name))
		x += 40 + int(flameLetter*float64(len(name)))
	}
	g.above(root, flameMargin, 0)
	fmt.Fprintln(g, "</svg>")
	_, err := w.Write(g.Bytes())
	return err
}

// depth is how many functions, that are wide enough, are above each other.
func depth(f *frame, scale float64) int {
	most := 0
	for _, callee := range f.callees {
		if float64(callee.total)*scale >= flameLeast {
			most = max(most, depth(callee, scale))
		}
	}
	return most + 1
}

// above draws what a function calls, from x on.
func (g *flame) above(f *frame, x float64, row int) {
	for _, callee := range slices.SortedFunc(maps.Values(f.callees), func(a, b *frame) int {
		return cmp.Or(strings.Compare(a.sym.name, b.sym.name), cmp.Compare(a.sym.addr, b.sym.addr))
	}) {
		width := float64(callee.total) * g.scale
		if width >= flameLeast {
			g.box(callee, x, width, g.bottom-(row+1)*flameRow)
			g.above(callee, x, row+1)
		}
		x += width
	}
}

func (g *flame) box(f *frame, x, width float64, y int) {
	fmt.Fprintf(g, `<g><title>%s: %.1f per packet, %.1f %%; %.1f its own</title>`, html.EscapeString(f.sym.name),
		float64(f.total)/g.packets, 100*float64(f.total)/g.all, float64(f.self)/g.packets)
	fmt.Fprintf(g, `<rect x="%.2f" y="%d" width="%.2f" height="%d" fill="%s" stroke="white" stroke-width="0.5"/>`,
		x, y, width, flameRow-1, partColours[f.sym.part])
	if letters := int((width - 4) / flameLetter); letters >= 3 {
		fmt.Fprintf(g, `<text x="%.2f" y="%d">%s</text>`, x+2, y+12, html.EscapeString(shorten(f.sym.name, letters)))
	}
	g.WriteString("</g>\n")
}

// shorten leaves the end of a Go function's name, which tells most, or else the beginning.
func shorten(name string, letters int) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 && len(name) > letters {
		name = name[i+1:]
	}
	if len(name) > letters {
		return name[:letters-2] + ".."
	}
	return name
}
