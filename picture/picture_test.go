package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"
	"strings"
	"testing"
)

// tiles returns n tiles of one side, each of its own shade from 40 to 200, with
// their numbers.
func tiles(n, side int) (list []Tile) {
	for i := range n {
		img := image.NewGray(image.Rect(0, 0, side, side))
		for k := range img.Pix {
			img.Pix[k] = tileShade(i)
		}
		list = append(list, Tile{img, fmt.Sprint(i)})
	}
	return list
}

func tileShade(i int) uint8 { return uint8(40 + i%161) }

// TestGridLayout: whatever the number and size of tiles, each is wholly there, no
// two of them meet, and their labels lie in their own cells.
func TestGridLayout(t *testing.T) {
	for _, c := range []struct{ n, side int }{{1, 1}, {6, 28}, {16, 5}, {96, 54}, {120, 1}, {512, 14}, {1000, 1}, {3, 224}, {64, 224}} {
		g := Grid{Title: "layer 3: Conv", Lines: []string{"one", "two"}, Tiles: tiles(c.n, c.side)}
		l := g.layout()
		if l.tile.X+2 > l.cell.X || l.tile.Y+labelSize+4 > l.cell.Y || l.columns*l.cell.X-tileGap+2*margin > l.width {
			t.Errorf("%d tiles of %d: a tile of %v in a cell of %v, %d columns in %d pixels", c.n, c.side, l.tile, l.cell, l.columns, l.width)
		}
		label := width(tools().label, fmt.Sprint(c.n-1))
		if label+2 > l.cell.X {
			t.Errorf("%d tiles of %d: the label takes %d pixels of a cell of %d", c.n, c.side, label, l.cell.X)
		}
		if l.width > 2200 || l.width > 6*l.height || l.height > 2*l.width+200 {
			t.Errorf("%d tiles of %d: a sheet of %d×%d", c.n, c.side, l.width, l.height)
		}
		img, err := g.Draw()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[uint8]int{}
		for k := 0; k < len(img.Pix); k += 4 {
			if p := img.Pix[k : k+3]; p[0] == p[1] && p[1] == p[2] {
				seen[p[0]]++
			}
		}
		area := l.tile.X * l.tile.Y
		for i := range min(c.n, 100) { // text has shades of its own: no more is asked for than all of a tile
			if seen[tileShade(i)] < area {
				t.Errorf("%d tiles of %d: %d pixels of tile %d, want %d", c.n, c.side, seen[tileShade(i)], i, area)
			}
		}
	}
}

// TestGridPixels looks at the corners of two enlarged tiles.
func TestGridPixels(t *testing.T) {
	a := Map([]float32{-1, 0, 1, 3}, 2, 2, -1, 1)
	b := ColorMap([]float32{0, 1, 0, 0.5, 1, 0.2}, 1, 2, 0, 1)
	g := Grid{Title: "T", Tiles: []Tile{{Image: a}, {Image: b}}, Scale: 3}
	img, err := g.Draw()
	if err != nil {
		t.Fatal(err)
	}
	l := g.layout()
	x, y := margin, l.top
	for at, want := range map[image.Point]color.RGBA{
		{x, y}:                  {0, 0, 0, 255},
		{x + 2, y + 2}:          {0, 0, 0, 255},
		{x + 3, y}:              {128, 128, 128, 255},
		{x + 2, y + 3}:          {255, 255, 255, 255},
		{x + 5, y + 5}:          {255, 255, 255, 255},
		{x - 1, y}:              hair,
		{x + l.cell.X, y}:       {0, 0, 255, 255},
		{x + l.cell.X + 5, y}:   {255, 128, 51, 255},
		{x + l.cell.X, y + 6}:   paper,
		{l.width - 1, l.top}:    paper,
		{margin, l.height - 10}: paper,
	} {
		if got := img.RGBAAt(at.X, at.Y); got != want {
			t.Errorf("pixel %v is %v, want %v", at, got, want)
		}
	}
}

func TestTooLarge(t *testing.T) {
	_, err := Grid{Tiles: tiles(2, 1), Scale: 20000}.Draw()
	if err == nil || !strings.Contains(err.Error(), "is too large: at most") {
		t.Errorf("%v, want that it is too large", err)
	}
}

func TestRange(t *testing.T) {
	for _, c := range []struct {
		values    []float32
		low, high float32
	}{{nil, 0, 0}, {[]float32{-2}, -2, -2}, {[]float32{3, -1, 7, 2}, -1, 7}} {
		if low, high := Range(c.values); low != c.low || high != c.high {
			t.Errorf("Range(%v) = %v, %v", c.values, low, high)
		}
	}
}

// confusion is a matrix of n classes whose diagonal has 90 examples, and the next
// class 10.
func confusion(n int) Confusion {
	c := Confusion{Title: "lenet on digits", Lines: []string{"accuracy"}}
	for i := range n {
		row := make([]int, n)
		row[i], row[(i+1)%n] = 90, 10
		c.Counts = append(c.Counts, row)
		c.Names = append(c.Names, fmt.Sprintf("class %d", i))
	}
	return c
}

func TestConfusion(t *testing.T) {
	for _, n := range []int{2, 10, 24, 100, 1000} {
		c := confusion(n)
		img, err := c.Draw()
		if err != nil {
			t.Fatal(err)
		}
		l := c.layout()
		if l.left+n*l.cell > l.width || l.top+n*l.cell > l.height || l.width > 2200 {
			t.Errorf("%d classes: cells of %d from %d, %d on a sheet of %d×%d", n, l.cell, l.left, l.top, l.width, l.height)
		}
		at := func(i, j int) color.RGBA { return img.RGBAAt(l.left+j*l.cell+1, l.top+i*l.cell+1) }
		if n > 2 && (at(0, 0) != tint(color.RGBA{31, 98, 168, 255}, 0.9) || at(1, 0) != paper) {
			t.Errorf("%d classes: the diagonal is %v, an empty cell %v", n, at(0, 0), at(1, 0))
		}
		if red := at(0, 1); red.R <= red.G || red.R <= red.B {
			t.Errorf("%d classes: a confusion is %v, want red", n, red)
		}
	}
}

func TestFit(t *testing.T) {
	f := tools().text
	if got := fit(f, "automobile", 200); got != "automobile" {
		t.Errorf("%q", got)
	}
	got := fit(f, strings.Repeat("automobile", 10), 100)
	if !strings.HasSuffix(got, "…") || width(f, got) > 100 || len(got) < 10 {
		t.Errorf("%q of %d pixels", got, width(f, got))
	}
}

// TestPNG: few colours take a palette, many do not, and both read back.
func TestPNG(t *testing.T) {
	few, err := Grid{Title: "T", Tiles: tiles(4, 3)}.Draw()
	if err != nil {
		t.Fatal(err)
	}
	many := image.NewRGBA(image.Rect(0, 0, 32, 32))
	for i := range 32 * 32 {
		many.SetRGBA(i%32, i/32, color.RGBA{uint8(i), uint8(i / 256), 7, 255})
	}
	for _, c := range []struct {
		img     *image.RGBA
		palette bool
	}{{few, true}, {many, false}} {
		b, err := PNG(c.img)
		if err != nil {
			t.Fatal(err)
		}
		got, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if _, paletted := got.(*image.Paletted); paletted != c.palette {
			t.Errorf("a picture is read back as %T", got)
		}
		for y := range c.img.Rect.Dy() {
			for x := range c.img.Rect.Dx() {
				if color.RGBAModel.Convert(got.At(x, y)) != c.img.RGBAAt(x, y) {
					t.Fatalf("pixel %d, %d is %v, was %v", x, y, got.At(x, y), c.img.RGBAAt(x, y))
				}
			}
		}
	}
}

func TestCurves(t *testing.T) {
	runs := []Run{
		{Name: "lenet-1", Loss: []Point{{1, 2.3}, {2, 1.1}, {3, 0.4}}, Accuracy: []Point{{1, 0.5}, {2, 0.9}}},
		{Name: "lenet-2", Loss: []Point{{1, 2.3}}},
	}
	svg, err := Curves(runs, "svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{">lenet-1<", ">lenet-2<", ">training loss<", ">epoch<", "0072B2", "D55E00"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the drawing has no %s", want)
		}
	}
	b, err := Curves(runs, "png")
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if size := img.Bounds().Size(); size != (image.Point{1100, 450}) {
		t.Errorf("a picture of %v", size)
	}
	if _, err := Curves(runs, "gif"); err == nil || !strings.Contains(err.Error(), "want png or svg") {
		t.Errorf("another format: %v", err)
	}
}

func TestSmooth(t *testing.T) {
	points := []Point{{1, 1}, {2, 2}, {3, 6}, {4, 4}, {5, 10}}
	got := Smooth(points, 3)
	if want := []Point{{1, 1}, {2, 3}, {3, 4}, {4, 20.0 / 3}, {5, 10}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := Smooth(points, 1); !slices.Equal(got, points) {
		t.Errorf("a window of one point gives %v", got)
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		whole     bool
		want      string
	}{
		{0, 2.34, false, "0 0.5 1 1.5 2"},
		{1, 3, true, "1 2 3"},
		{1, 705, true, "200 400 600"},
		{96.9, 98.86, false, "97 97.5 98 98.5"},
		{0.031, 0.0322, false, "0.031 0.0312 0.0314 0.0316 0.0318 0.032 0.0322"},
		{5, 5, false, "5"},
		{-3, 3, false, "-3 -2 -1 0 1 2 3"},
	} {
		var got []string
		for _, tick := range (ticks{c.whole}).Ticks(c.low, c.high) {
			got = append(got, tick.Label)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v to %v: %s, want %s", c.low, c.high, s, c.want)
		}
	}
}
