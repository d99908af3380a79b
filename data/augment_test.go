package data

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"convoy/job"
)

// TestMoveByHand: one row, one column, and the flip that comes after.
func TestMoveByHand(t *testing.T) {
	row := []byte{1, 2, 3, 4}
	for _, c := range []struct {
		a             job.Augment
		height, width int
		ch            changes
		want          []byte
	}{
		{job.Augment{Crop: 2}, 1, 4, changes{dx: 1}, []byte{2, 3, 4, 0}},
		{job.Augment{Crop: 2}, 1, 4, changes{dx: -2}, []byte{0, 0, 1, 2}},
		{job.Augment{Shift: 2}, 1, 4, changes{dx: 2}, []byte{3, 4, 4, 4}},
		{job.Augment{Shift: 2}, 1, 4, changes{dx: -1}, []byte{1, 1, 2, 3}},
		{job.Augment{Crop: 2}, 4, 1, changes{dy: 1}, []byte{2, 3, 4, 0}},
		{job.Augment{Shift: 2}, 4, 1, changes{dy: -2}, []byte{1, 1, 1, 2}},
		{job.Augment{Flip: true}, 1, 4, changes{flip: true}, []byte{4, 3, 2, 1}},
		{job.Augment{Flip: true, Crop: 1}, 1, 4, changes{flip: true, dx: 1}, []byte{0, 4, 3, 2}},
		{job.Augment{Crop: 1}, 2, 2, changes{dy: 1, dx: -1}, []byte{0, 3, 0, 0}},
	} {
		g := newAugmenter(c.a, 1, c.height, c.width, 1)
		got := make([]byte, 4)
		g.move(got, row, c.ch)
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v %+v of %d×%d: %v, want %v", c.a, c.ch, c.height, c.width, got, c.want)
		}
		two := newAugmenter(c.a, 2, c.height, c.width, 1)
		both := make([]byte, 8)
		two.move(both, append([]byte{1, 2, 3, 4}, 1, 2, 3, 4), c.ch)
		if !slices.Equal(both, append(slices.Clone(c.want), c.want...)) {
			t.Errorf("%+v of two channels: %v", c.ch, both)
		}
	}
}

// TestColoursByFormula compares the colour changes with torchvision's formulas
// in float64: a factor f makes f·v + (1−f)·w, kept within a byte.
func TestColoursByFormula(t *testing.T) {
	pixels := noise(3 * 64)
	g := newAugmenter(job.Augment{}, 3, 8, 8, 1)
	greyOf := func(i int) float64 {
		return 0.299*float64(pixels[i]) + 0.587*float64(pixels[64+i]) + 0.114*float64(pixels[128+i])
	}
	var mean float64
	for i := range 64 {
		mean += greyOf(i) / 64
	}
	if got := float64(g.meanGrey(pixels)); math.Abs(got-mean) > 1 {
		t.Errorf("mean grey %v, want %v", got, mean)
	}
	for _, factor := range []float64{0, 0.5, 0.75, 1, 1.25, 2, 5} {
		f := uint32(factor * one)
		for name, c := range map[string]struct {
			change func([]byte)
			with   func(i int) float64
		}{
			"brightness": {func(p []byte) { scale(p, f, 0) }, func(int) float64 { return 0 }},
			"contrast":   {func(p []byte) { scale(p, f, g.meanGrey(p)) }, func(int) float64 { return mean }},
			"saturation": {func(p []byte) { saturate(p, f) }, func(i int) float64 { return greyOf(i % 64) }},
		} {
			got := slices.Clone(pixels)
			c.change(got)
			for i, v := range pixels {
				want := min(max(factor*float64(v)+(1-factor)*c.with(i), 0), 255)
				// Grey is rounded to a byte before it is blended.
				if math.Abs(float64(got[i])-want) > 0.5+0.5*math.Abs(1-factor)+0.01 {
					t.Fatalf("%s by %v: pixel %d of %d is %d, want %.2f", name, factor, i, v, got[i], want)
				}
			}
		}
	}
}

// TestDraw: half of the images are flipped, every move and order is about as
// frequent as the others, factors fill their range, and asking for one change
// leaves the others alone.
func TestDraw(t *testing.T) {
	const n = 20000
	a := job.Augment{Flip: true, Crop: 2, Brightness: 0.5, Contrast: 1.5, Saturation: 0}
	g := newAugmenter(a, 3, 8, 8, 7)
	seen := map[string]int{}
	var low, high, sum [3]float64
	for k := range low {
		low[k] = math.Inf(1)
	}
	for i := range n {
		c := g.draw(i%3, i)
		seen[fmt.Sprint("flip ", c.flip)]++
		seen[fmt.Sprint("dy ", c.dy)]++
		seen[fmt.Sprint("dx ", c.dx)]++
		seen[fmt.Sprint("order ", c.order)]++
		for k, f := range c.factor {
			v := float64(f) / one
			low[k], high[k] = min(low[k], v), max(high[k], v)
			sum[k] += v / n
		}
	}
	for what, count := range seen {
		want := map[byte]int{'f': n / 2, 'd': n / 5, 'o': n / 6}[what[0]]
		if math.Abs(float64(count-want)) > 5*math.Sqrt(float64(want)) {
			t.Errorf("%s came %d times of %d, want about %d", what, count, n, want)
		}
	}
	if len(seen) != 2+5+5+6 {
		t.Errorf("%d outcomes, want 18: %v", len(seen), seen)
	}
	for k, want := range [3][2]float64{{0.5, 1.5}, {0, 2.5}, {1, 1}} {
		if math.Abs(low[k]-want[0]) > 0.001 || math.Abs(high[k]-want[1]) > 0.001 || math.Abs(sum[k]-(want[0]+want[1])/2) > 0.02 {
			t.Errorf("factor %d from %v to %v, mean %v, want %v", k, low[k], high[k], sum[k], want)
		}
	}
	colour := g.draw(1, 5)
	plain := newAugmenter(job.Augment{Crop: 2, Brightness: 0.5}, 3, 8, 8, 7)
	if c := plain.draw(1, 5); c.dy != colour.dy || c.dx != colour.dx || c.factor[0] != colour.factor[0] || c.flip {
		t.Errorf("%+v without flip, contrast and saturation, %+v with", c, colour)
	}
}
