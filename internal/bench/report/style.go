// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"image/color"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	width    = 600 * vg.Length(1) // points, which are 800 pixels
	margin   = 14 * vg.Length(1)
	bodySize = 9.5 * vg.Length(1)
	headSize = 13 * vg.Length(1)
)

// mytun is red and the others are grey; in a picture without colours it is still the darkest.
var (
	ink     = color.RGBA{0x22, 0x2b, 0x33, 0xff}
	faint   = color.RGBA{0xe3, 0xe6, 0xe9, 0xff}
	strong  = color.RGBA{0xc2, 0x33, 0x0c, 0xff}
	variant = color.RGBA{0xe0, 0x7b, 0x56, 0xff} // mytun used in another way
	other   = color.RGBA{0xb4, 0xbe, 0xc7, 0xff}
)

func init() {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
}

func peerColor(peer string) color.RGBA {
	switch {
	case peer == "mytun":
		return strong
	case isMytun(peer):
		return variant
	}
	return other
}

// textStyle is of text beside a point, in the middle of the line.
func textStyle(size vg.Length, align text.XAlignment) text.Style {
	return text.Style{
		Color:   ink,
		Font:    font.From(plot.DefaultFont, size),
		XAlign:  align,
		YAlign:  draw.YCenter,
		Handler: plot.DefaultTextHandler,
	}
}

// peerStyle is of a peer's name and of its figures. They begin at a point, and do not end there, since
// where they end depends on the fonts that the reader has.
func peerStyle(peer string) text.Style {
	s := textStyle(bodySize, draw.XLeft)
	if peer == "mytun" {
		s.Color = strong
		s.Font.Weight = xfont.WeightBold
	}
	return s
}

// room is how wide a text may become: who has none of the fonts below sees a wider one.
func room(peer string) vg.Length { return 1.2 * peerStyle(peer).Width(peer) }

// page returns an SVG of this height with a title, and with what is drawn below it.
func page(height vg.Length, title, subtitle string, f func(c draw.Canvas)) []byte {
	svg := vgsvg.New(width, height)
	c := draw.New(svg)
	// The background is part of the picture, which is also seen on dark pages.
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	c = draw.Crop(c, margin, -margin, margin, -margin)

	head := textStyle(headSize, draw.XLeft)
	head.Font.Weight = xfont.WeightBold
	c.FillText(head, vg.Point{X: c.Min.X, Y: c.Max.Y - headSize/2}, title)
	c.FillText(textStyle(bodySize, draw.XLeft), vg.Point{X: c.Min.X, Y: c.Max.Y - headSize - bodySize}, subtitle)
	f(draw.Crop(c, 0, 0, 0, -headSize-2.5*bodySize))

	var b bytes.Buffer
	if _, err := svg.WriteTo(&b); err != nil {
		panic(err) // a buffer takes everything
	}
	// Whoever has no Liberation has one of those that it was made to be as wide as.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"),
		[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
}

// subtitle is the unit and which way is the good one.
func subtitle(unit string) string {
	if isRate(unit) {
		return unit + ", more is better"
	}
	return unit + ", less is better"
}
