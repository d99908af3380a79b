// Command glyphgen draws the glyphs that the built-in data set `digits` is made
// of, and writes them to data/glyphs.bin, which is committed: the libraries used
// here never run when a network is trained, so their bits cannot enter a model.
//
// Each glyph is a field of distances to the middle of its stroke, from which the
// data set can draw it with a pen of any width. Some glyphs are written by hand
// in strokes.go, with several unsteady copies of each, the others are the Go
// fonts' (Bigelow and Holmes, 2016).
package main

import (
	"fmt"
	"math"
	"os"
)

// What glyphs.bin holds: first a byte, the glyphs of each digit; then the glyphs
// of 0, of 1 and so on, each Side×Side bytes, row by row. A byte is the distance
// to the middle of the stroke in units of 1/unitsPerCell of a cell's side.
const (
	side         = 36 // cells of a glyph's row and column
	tall         = 24 // cells from the top of a digit to its foot
	unitsPerCell = 24
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: glyphgen FILE")
		os.Exit(2)
	}
	b, err := glyphs()
	if err == nil {
		err = os.WriteFile(os.Args[1], b, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "glyphgen:", err)
		os.Exit(1)
	}
}

// glyphs returns the content of glyphs.bin.
func glyphs() ([]byte, error) {
	fonts, err := fontGlyphs()
	if err != nil {
		return nil, err
	}
	var b []byte
	for digit := range 10 {
		fields := append(strokeGlyphs(digit), fonts[digit]...)
		if digit == 0 {
			b = append(b, byte(len(fields)))
		} else if len(fields) != int(b[0]) {
			return nil, fmt.Errorf("%d glyphs of %d, %d of 0: want as many", len(fields), digit, b[0])
		}
		for _, f := range fields {
			b = append(b, f.bytes()...)
		}
	}
	return b, nil
}

// field is the distance to the middle of a glyph's stroke at the middle of each
// cell, in cells.
type field [side * side]float64

func (f *field) bytes() []byte {
	b := make([]byte, len(f))
	for i, d := range f {
		b[i] = byte(min(math.Round(d*unitsPerCell), 255))
	}
	return b
}
