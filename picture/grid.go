package picture

import (
	"image"
	"image/color"
	"math"
)

// Tile is one image of a grid with what stands below it.
type Tile struct {
	Image image.Image
	Label string // may be empty
}

// Grid is tiles of one size in rows, under a title.
type Grid struct {
	Title string
	Lines []string // under the title, smaller
	Tiles []Tile
	Scale int // pixels of the picture for one of a tile; 0: chosen by number and size
}

// Space between tiles, in pixels.
const tileGap = 8

// Bounds that a grid's scale is chosen by.
const (
	tileSide  = 96   // a tile is enlarged to about that, if so
	sheetSide = 1200 // the sheet stays about within that
	widest    = 2000 // of more than one column
	maxScale  = 24
)

// Draw draws the grid. Tiles are enlarged by a whole number, each pixel a square.
func (g Grid) Draw() (*image.RGBA, error) {
	l := g.layout()
	p, err := newPen(l.width, l.height)
	if err != nil {
		return nil, err
	}
	p.write(p.title, ink, margin, margin+titleSize, g.Title)
	for i, line := range g.Lines {
		p.write(p.text, pale, margin, margin+titleSize+(i+1)*lineHeight, line)
	}
	for i, t := range g.Tiles {
		x := margin + i%l.columns*l.cell.X + (l.cell.X-tileGap-l.tile.X)/2
		y := l.top + i/l.columns*l.cell.Y
		p.frame(t.Image, x, y, l.scale)
		p.center(p.label, pale, x+l.tile.X/2, y+l.tile.Y+labelSize+2, t.Label)
	}
	return p.img, nil
}

// lineHeight is the distance of two lines' baselines.
const lineHeight = textSize + 6

// frame draws an enlarged image with a hair line around.
func (p *pen) frame(img image.Image, x, y, scale int) {
	b := img.Bounds()
	p.fill(image.Rect(x-1, y-1, x+b.Dx()*scale+1, y+b.Dy()*scale+1), hair)
	for j := range b.Dy() {
		first := p.img.PixOffset(x, y+j*scale)
		row := p.img.Pix[first : first+4*b.Dx()*scale]
		for i := range b.Dx() {
			c := color.RGBAModel.Convert(img.At(b.Min.X+i, b.Min.Y+j)).(color.RGBA)
			for k := range scale {
				copy(row[4*(i*scale+k):], []uint8{c.R, c.G, c.B, c.A})
			}
		}
		for k := 1; k < scale; k++ {
			copy(p.img.Pix[first+k*p.img.Stride:], row)
		}
	}
}

// gridLayout is where things are, in pixels.
type gridLayout struct {
	width, height int
	top           int // of the first row of tiles
	columns       int
	scale         int
	tile, cell    image.Point // a cell is a tile with its label and the space behind
}

func (g Grid) layout() gridLayout {
	t := tools()
	size, labels := image.Pt(1, 1), 0
	for _, tile := range g.Tiles {
		b := tile.Image.Bounds()
		size = image.Pt(max(size.X, b.Dx()), max(size.Y, b.Dy()))
		labels = max(labels, width(t.label, tile.Label))
	}
	n := max(1, len(g.Tiles))
	l := gridLayout{scale: g.Scale}
	if l.scale == 0 {
		l.scale = chooseScale(n, size)
	}
	l.tile = size.Mul(l.scale)
	l.cell = image.Pt(max(l.tile.X, labels)+tileGap, l.tile.Y+tileGap)
	if labels > 0 {
		l.cell.Y += labelSize + 4
	}
	// One and a half times as wide as high.
	l.columns = int(math.Ceil(math.Sqrt(1.5 * float64(n) * float64(l.cell.Y) / float64(l.cell.X))))
	l.columns = max(1, min(n, l.columns, widest/l.cell.X))
	rows := (n + l.columns - 1) / l.columns
	l.columns = (n + rows - 1) / rows // as full a last row as there can be
	l.top = margin + titleSize + len(g.Lines)*lineHeight + margin
	text := width(t.title, g.Title)
	for _, line := range g.Lines {
		text = max(text, width(t.text, line))
	}
	l.width = max(text, l.columns*l.cell.X-tileGap) + 2*margin
	l.height = l.top + rows*l.cell.Y - tileGap + margin
	return l
}

// chooseScale enlarges tiles until they are easy to see or the sheet is full.
func chooseScale(n int, tile image.Point) int {
	side := max(tile.X, tile.Y)
	columns := int(math.Ceil(math.Sqrt(float64(n))))
	scale := min(tileSide/side, sheetSide/(columns*side), maxScale)
	return max(1, scale)
}

// Map is a tile of h×w values, row by row: low is black, high is white, and what
// lies outside is cut off. Where the two are equal all is black.
func Map(values []float32, h, w int, low, high float32) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i, v := range values[:h*w] {
		img.Pix[i] = shade(v, low, high)
	}
	return img
}

// ColorMap is a tile of three maps, red, green and blue, over one range.
func ColorMap(values []float32, h, w int, low, high float32) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	n := h * w
	for i := range n {
		img.SetRGBA(i%w, i/w, color.RGBA{
			shade(values[i], low, high), shade(values[n+i], low, high), shade(values[2*n+i], low, high), 255,
		})
	}
	return img
}

func shade(v, low, high float32) uint8 {
	if !(high > low) {
		return 0
	}
	return uint8(255*min(max((v-low)/(high-low), 0), 1) + 0.5)
}

// Range is the least and the greatest of some values; 0 and 0 of none.
func Range(values []float32) (low, high float32) {
	for i, v := range values {
		if i == 0 || v < low {
			low = v
		}
		if i == 0 || v > high {
			high = v
		}
	}
	return low, high
}
