package main

import (
	"fmt"
	"image"
	"image/draw"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobolditalic"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// fine is the number of pixels to a cell in which the fonts are drawn before
// distances are taken.
const fine = 8

// fontGlyphs returns the glyphs of each digit in the Go fonts.
func fontGlyphs() (glyphs [10][]*field, err error) {
	for _, ttf := range [][]byte{goregular.TTF, goitalic.TTF, gomono.TTF, gobolditalic.TTF} {
		parsed, err := opentype.Parse(ttf)
		if err != nil {
			return glyphs, fmt.Errorf("parse font: %w", err)
		}
		// A digit is about 0.72 em tall.
		face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: tall * fine / .72, DPI: 72})
		if err != nil {
			return glyphs, fmt.Errorf("open font: %w", err)
		}
		for digit := range 10 {
			glyphs[digit] = append(glyphs[digit], skeleton(rasterize(face, rune('0'+digit))))
		}
		if err := face.Close(); err != nil {
			return glyphs, fmt.Errorf("close font: %w", err)
		}
	}
	return glyphs, nil
}

// rasterize draws a character in the middle of a square of side cells.
func rasterize(face font.Face, char rune) *image.Alpha {
	canvas := image.NewAlpha(image.Rect(0, 0, side*fine, side*fine))
	bounds, _, _ := face.GlyphBounds(char)
	middle := fixed.P(side*fine/2, side*fine/2)
	drawer := font.Drawer{
		Dst: canvas, Src: image.Opaque, Face: face,
		Dot: middle.Sub(bounds.Min.Add(bounds.Max).Div(fixed.I(2))),
	}
	draw.Draw(canvas, canvas.Bounds(), image.Transparent, image.Point{}, draw.Src)
	drawer.DrawString(string(char))
	return canvas
}

// skeleton returns the distances to the middle of the strokes of a character:
// the distance to its outline, inside negative, plus half the stroke's width.
func skeleton(img *image.Alpha) *field {
	inside := func(x, y int) bool {
		return image.Pt(x, y).In(img.Rect) && img.AlphaAt(x, y).A >= 128
	}
	var edge []point // the inner side of the outline, in pixels
	for y := range side * fine {
		for x := range side * fine {
			if inside(x, y) && !(inside(x-1, y) && inside(x+1, y) && inside(x, y-1) && inside(x, y+1)) {
				edge = append(edge, point{float64(x), float64(y)})
			}
		}
	}
	var f field
	depth := 0.0
	for i := range f {
		x, y := i%side*fine+fine/2, i/side*fine+fine/2
		nearest := math.Inf(1)
		for _, e := range edge {
			nearest = min(nearest, math.Hypot(e.x-float64(x), e.y-float64(y))/fine)
		}
		if inside(x, y) {
			nearest = -nearest
		}
		f[i] = nearest
		depth = max(depth, -nearest)
	}
	for i := range f {
		f[i] = max(f[i]+.85*depth, 0)
	}
	return &f
}
