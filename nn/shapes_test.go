package nn

import (
	"testing"

	"pgregory.net/rapid"
)

// TestShapes: what comes out of a window of K that moves by S over H pixels and P
// zeros on either side has ⌊(H+2P−K+S)/S⌋ pixels.
func TestShapes(t *testing.T) {
	for _, c := range []struct {
		layer Layer
		in    Shape
		want  Shape
	}{
		{Conv{Out: 6, Kernel: 5, Pad: 2}, Shape{1, 28, 28}, Shape{6, 28, 28}},
		{Conv{Out: 16, Kernel: 5}, Shape{6, 14, 14}, Shape{16, 10, 10}},
		{Conv{Out: 96, Kernel: 11, Stride: 4}, Shape{3, 227, 227}, Shape{96, 55, 55}},
		{Conv{Out: 96, Kernel: 11, Stride: 4, Pad: 1}, Shape{1, 224, 224}, Shape{96, 54, 54}},
		{Conv{Out: 64, Kernel: 7, Stride: 2, Pad: 3}, Shape{3, 224, 224}, Shape{64, 112, 112}},
		{Conv{Out: 8, Kernel: 3, Stride: 5}, Shape{2, 9, 7}, Shape{8, 2, 1}},
		{Conv{Out: 8, Kernel: 3, Stride: 2, Groups: 2}, Shape{2, 9, 8}, Shape{8, 4, 3}},
		{MaxPool{Kernel: 2}, Shape{6, 28, 27}, Shape{6, 14, 13}},
		{MaxPool{Kernel: 3, Stride: 2}, Shape{96, 55, 54}, Shape{96, 27, 26}},
		{MaxPool{Kernel: 3, Stride: 2, Pad: 1}, Shape{64, 48, 47}, Shape{64, 24, 24}},
		{AvgPool{Kernel: 5, Stride: 3}, Shape{512, 14, 14}, Shape{512, 4, 4}},
		{GlobalAvgPool{}, Shape{1024, 7, 6}, Shape{1024, 1, 1}},
	} {
		_, op := bound(t, c.layer, c.in, true)
		if op.out() != c.want {
			t.Errorf("%v makes %v of %v, want %v", c.layer, op.out(), c.in, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		number := func(name string, low, high int) int { return rapid.IntRange(low, high).Draw(t, name) }
		in := Shape{2 * number("channels", 1, 3), number("height", 1, 40), number("width", 1, 40)}
		k, s, p := number("kernel", 1, 12), number("stride", 1, 6), number("padding", 0, 6)
		want := Shape{in.C, (in.H + 2*p - k + s) / s, (in.W + 2*p - k + s) / s}
		for _, l := range []Layer{
			Conv{Out: in.C, Kernel: k, Stride: s, Pad: p},
			Conv{Out: in.C, Kernel: k, Stride: s, Pad: p, Groups: 2},
			MaxPool{Kernel: k, Stride: s, Pad: p},
			AvgPool{Kernel: k, Stride: s, Pad: p},
		} {
			op, err := l.bind(newBinder(Options{}, true), in)
			_, conv := l.(Conv)
			switch fits := in.H+2*p >= k && in.W+2*p >= k && (conv || 2*p <= k); {
			case fits != (err == nil):
				t.Errorf("%v on %v: error %v", l, in, err)
			case fits && op.out() != want:
				t.Errorf("%v makes %v of %v, want %v", l, op.out(), in, want)
			}
		}
	})
}
