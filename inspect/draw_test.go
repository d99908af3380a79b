package inspect

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"testing"

	"convoy/data"
)

func TestFeatureGrid(t *testing.T) {
	tr := mustOpen(t, write(t, "lenet-relu", data.Digits().Manifest))
	p, err := tr.Picture(save(t, "cross.png", 28, 28, func(x, y int) color.Color { return color.Gray{uint8(255 * ((x / 14) ^ (y / 14)))} }), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		layer, title, legend string
		tiles, side          int
	}{
		{"0", "layer 0: Conv 6, kernel 5×5, padding 2", "in each map black is its least value and white its greatest", 6, 28},
		{"1", "layer 1: ReLU", "in each map black is 0 and white its greatest value", 6, 28},
		{"5", "layer 5: MaxPool 2×2", "in each map black is 0 and white its greatest value", 16, 5},
		{"8", "layer 8: ReLU", "black is 0, white ", 120, 1},
		{"11", "layer 11: Linear 10", "black is -", 10, 1},
	} {
		g, err := tr.FeatureGrid(pool(t, 1), p, c.layer)
		if err != nil {
			t.Fatal(err)
		}
		if g.Title != c.title || len(g.Tiles) != c.tiles || g.Tiles[0].Image.Bounds().Dx() != c.side || !strings.HasPrefix(g.Lines[1], c.legend) {
			t.Errorf("layer %s: %q, %q, %d tiles of %v", c.layer, g.Title, g.Lines, len(g.Tiles), g.Tiles[0].Image.Bounds())
		}
		maps, err := tr.Features(pool(t, 1), p, c.layer)
		if err != nil {
			t.Fatal(err)
		}
		checkTiles(t, c.layer, maps.Data().([]float32), c.side*c.side, g.Tiles[0].Image.(*image.Gray), strings.Contains(c.legend, "is 0"))
	}
	_, err = tr.FeatureGrid(pool(t, 1), p, "conv1")
	if err == nil || !strings.Contains(err.Error(), `model lenet-relu: the network has no layer "conv1"`) || !strings.Contains(err.Error(), "11 (Linear 10)") {
		t.Errorf("another layer: %v", err)
	}
}

// checkTiles: the first tile's black and white are where its least and greatest
// values are.
func checkTiles(t *testing.T, layer string, v []float32, size int, tile *image.Gray, positive bool) {
	t.Helper()
	low, high := slices.Min(v), slices.Max(v) // of a flat vector
	if size > 1 {
		low, high = slices.Min(v[:size]), slices.Max(v[:size])
	}
	if positive {
		low = 0
	}
	for i, shade := range tile.Pix {
		want := 0.0
		if high > low {
			want = 255 * float64((v[i]-low)/(high-low))
		}
		if math.Abs(float64(shade)-want) > 0.51 {
			t.Fatalf("layer %s, value %d: shade %d, want %.1f", layer, i, shade, want)
		}
	}
}

func TestFilters(t *testing.T) {
	g, err := mustOpen(t, write(t, "lenet-relu", data.Digits().Manifest)).Filters()
	if err != nil {
		t.Fatal(err)
	}
	if _, grey := g.Tiles[0].Image.(*image.Gray); !grey || len(g.Tiles) != 6 || g.Title != "kernels of layer 0: Conv 6, kernel 5×5, padding 2" {
		t.Errorf("%q: %d tiles, the first %T", g.Title, len(g.Tiles), g.Tiles[0].Image)
	}
	tr := mustOpen(t, write(t, "lenet-relu", colourful(t).Manifest))
	if g, err = tr.Filters(); err != nil {
		t.Fatal(err)
	}
	w := tr.Parameters()["0.weight"]
	if fmt.Sprint(w.Shape()) != "(6, 3, 5, 5)" {
		t.Errorf("weights of shape %v", w.Shape())
	}
	v := w.Data().([]float32)[:75]
	low, high := slices.Min(v), slices.Max(v)
	tile := g.Tiles[0].Image.(*image.RGBA)
	for i := range 25 {
		c := tile.RGBAAt(i%5, i/5)
		for channel, got := range []uint8{c.R, c.G, c.B} {
			if want := 255 * (v[25*channel+i] - low) / (high - low); math.Abs(float64(got)-float64(want)) > 0.51 {
				t.Fatalf("weight %d of channel %d: shade %d, want %.1f", i, channel, got, want)
			}
		}
	}
}
