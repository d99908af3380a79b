// Package picture draws for people: grids of labelled tiles (feature maps,
// kernels, examples), a confusion matrix, and curves of a training run.
//
// It promises that nothing overlaps and every label can be read, for 6 tiles as
// for 512, and that a picture has at most maxPixels. It knows plain numbers and
// images only; nothing that it computes enters a model. Text is set in the Go
// fonts, curves are drawn by gonum/plot.
package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// The colours of all pictures.
var (
	paper = color.RGBA{255, 255, 255, 255}
	ink   = color.RGBA{33, 37, 41, 255}
	pale  = color.RGBA{110, 117, 124, 255} // secondary text
	hair  = color.RGBA{222, 226, 230, 255} // thin lines
)

// Sizes in pixels.
const (
	margin    = 16
	titleSize = 15
	textSize  = 12
	labelSize = 10
	maxPixels = 100 << 20 // of one picture
)

// A pen draws on an image.
type pen struct {
	img                *image.RGBA
	title, text, label font.Face
}

// newPen returns a pen on an empty sheet of paper.
func newPen(width, height int) (*pen, error) {
	if width < 1 || height < 1 || width > maxPixels/height {
		return nil, fmt.Errorf("a picture of %d×%d pixels is too large: at most %d pixels", width, height, maxPixels)
	}
	p := tools()
	p.img = image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(p.img, p.img.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	return p, nil
}

// tools returns a pen without paper, to measure text with.
func tools() *pen {
	return &pen{title: face(gobold.TTF, titleSize), text: face(goregular.TTF, textSize), label: face(goregular.TTF, labelSize)}
}

// face is a font in a size of pixels.
func face(ttf []byte, size float64) font.Face {
	parsed, err := opentype.Parse(ttf)
	if err != nil {
		panic(err) // part of the program
	}
	f, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		panic(err)
	}
	return f
}

// width of a line of text in pixels.
func width(f font.Face, s string) int { return font.MeasureString(f, s).Ceil() }

// write sets s with its left end at x and its baseline at y.
func (p *pen) write(f font.Face, c color.Color, x, y int, s string) {
	d := font.Drawer{Dst: p.img, Src: image.NewUniform(c), Face: f, Dot: fixed.P(x, y)}
	d.DrawString(s)
}

// center sets s with its middle at x.
func (p *pen) center(f font.Face, c color.Color, x, y int, s string) {
	p.write(f, c, x-width(f, s)/2, y, s)
}

// right sets s with its right end at x.
func (p *pen) right(f font.Face, c color.Color, x, y int, s string) {
	p.write(f, c, x-width(f, s), y, s)
}

// upward sets s along a vertical line, read from below, with its beginning at y
// and its baseline at x.
func (p *pen) upward(f font.Face, c color.Color, x, y int, s string) {
	w, height, ascent := width(f, s)+2, f.Metrics().Height.Ceil()+2, f.Metrics().Ascent.Ceil()
	line := &pen{img: image.NewRGBA(image.Rect(0, 0, w, height))}
	line.write(f, c, 0, ascent, s)
	turned := image.NewRGBA(image.Rect(0, 0, height, w))
	for i := range w {
		for j := range height {
			turned.SetRGBA(j, w-1-i, line.img.RGBAAt(i, j))
		}
	}
	at := image.Rect(x-ascent, y-w, x-ascent+height, y)
	draw.Draw(p.img, at, turned, image.Point{}, draw.Over)
}

// fill paints a rectangle.
func (p *pen) fill(r image.Rectangle, c color.Color) {
	draw.Draw(p.img, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// fit shortens s to a width in pixels, with an ellipsis for what is left out.
func fit(f font.Face, s string, most int) string {
	if width(f, s) <= most {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && width(f, string(runes)+"…") > most {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}

// PNG encodes a picture, with a palette where it has few colours.
func PNG(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestCompression}
	err := e.Encode(&b, paletted(img))
	return b.Bytes(), err
}

// paletted returns img with a palette if it has at most 256 colours: a third of
// the bytes.
func paletted(img image.Image) image.Image {
	rgba, ok := img.(*image.RGBA)
	if !ok {
		return img
	}
	index, palette := map[color.RGBA]uint8{}, color.Palette{}
	small := image.NewPaletted(rgba.Bounds(), nil)
	for i := 0; i < len(rgba.Pix); i += 4 {
		c := color.RGBA{rgba.Pix[i], rgba.Pix[i+1], rgba.Pix[i+2], rgba.Pix[i+3]}
		n, known := index[c]
		if !known {
			if len(palette) == 256 {
				return img
			}
			n = uint8(len(palette))
			index[c] = n
			palette = append(palette, c)
		}
		small.Pix[i/4] = n
	}
	small.Palette = palette
	return small
}
