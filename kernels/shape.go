package kernels

import (
	"fmt"
	"math"
)

// Conv is a two-dimensional cross-correlation of one example [C][H][W] with
// weights [O][C/Groups][KH][KW], strides and zero padding on both sides, giving
// [O][OutH][OutW]. In groups, channels and outputs are divided evenly, and a group
// of outputs sees its own group of channels alone.
type Conv struct {
	C, H, W          int // input channels, height, width
	O, KH, KW        int // output channels, kernel height, width
	StrideH, StrideW int // at least 1
	PadH, PadW       int // zeros added on each side
	Groups           int `json:",omitempty"` // of channels and outputs; unset: 1
}

// TooSmall is the error of an image that not one window fits into.
type TooSmall struct {
	Window string // what kind of window
	KH, KW int    // its height and width
	H, W   int    // those of the image with its padding
}

func (e TooSmall) Error() string {
	return fmt.Sprintf("%s %d×%d is larger than the padded input %d×%d", e.Window, e.KH, e.KW, e.H, e.W)
}

// Check returns an error that names the first dimension that makes no sense.
func (s Conv) Check() error {
	switch {
	case s.C < 1 || s.H < 1 || s.W < 1:
		return fmt.Errorf("convolution input %d×%d×%d (C×H×W): each must be at least 1", s.C, s.H, s.W)
	case s.O < 1 || s.KH < 1 || s.KW < 1:
		return fmt.Errorf("convolution of %d channels with kernel %d×%d: each must be at least 1", s.O, s.KH, s.KW)
	case s.Groups < 0 || s.C%s.groups() != 0 || s.O%s.groups() != 0:
		return fmt.Errorf("convolution from %d to %d channels in %d groups: the groups must divide both", s.C, s.O, s.Groups)
	case s.StrideH < 1 || s.StrideW < 1:
		return fmt.Errorf("convolution stride %d×%d: each must be at least 1", s.StrideH, s.StrideW)
	case s.PadH < 0 || s.PadW < 0:
		return fmt.Errorf("convolution padding %d×%d: each must be at least 0", s.PadH, s.PadW)
	case s.H+2*s.PadH < s.KH || s.W+2*s.PadW < s.KW:
		return TooSmall{"convolution kernel", s.KH, s.KW, s.H + 2*s.PadH, s.W + 2*s.PadW}
	case !countable(piece, s.C, s.H+2*s.PadH, s.W+2*s.PadW) || !countable(s.O, s.C, s.KH, s.KW) || !countable(piece, s.O, s.OutH(), s.OutW()):
		return fmt.Errorf("convolution %+v: the weights have more than %d elements, or an image more than %d", s, math.MaxInt32, math.MaxInt32/piece)
	}
	return nil
}

// groups is the number of groups.
func (s Conv) groups() int { return max(s.Groups, 1) }

// group is the convolution of one group.
func (s Conv) group() Conv {
	s.C, s.O, s.Groups = s.C/s.groups(), s.O/s.groups(), 0
	return s
}

// OutH is the height of the output.
func (s Conv) OutH() int { return (s.H+2*s.PadH-s.KH)/s.StrideH + 1 }

// OutW is the width of the output.
func (s Conv) OutW() int { return (s.W+2*s.PadW-s.KW)/s.StrideW + 1 }

// In is the number of elements of one example's input.
func (s Conv) In() int { return s.C * s.H * s.W }

// Out is the number of elements of one example's output.
func (s Conv) Out() int { return s.O * s.OutH() * s.OutW() }

// Weights is the number of elements of the weights, the bias left out.
func (s Conv) Weights() int { return s.O * (s.C / s.groups()) * s.KH * s.KW }

// FLOPs is the number of multiplications and additions of one direction for one
// example.
func (s Conv) FLOPs() int { return 2 * s.Weights() * s.OutH() * s.OutW() }

// Linear is a fully connected layer from I to O values, with weights [O][I].
type Linear struct{ I, O int }

// Check returns an error if a size is below 1.
func (s Linear) Check() error {
	if s.I < 1 || s.O < 1 {
		return fmt.Errorf("fully connected layer from %d to %d values: each must be at least 1", s.I, s.O)
	}
	if !countable(s.I, s.O) || !countable(piece, s.I) || !countable(piece, s.O) {
		return fmt.Errorf("fully connected layer from %d to %d values: more than %d weights, or %d values", s.I, s.O, math.MaxInt32, math.MaxInt32/piece)
	}
	return nil
}

// Weights is the number of elements of the weights, the bias left out.
func (s Linear) Weights() int { return s.I * s.O }

// FLOPs is the number of multiplications and additions of one direction for one
// example.
func (s Linear) FLOPs() int { return 2 * s.Weights() }

// Pool2D is a pooling of one example [C][H][W] by windows KH×KW, giving
// [C][OutH][OutW]. Windows that would reach past the padded input are left out.
type Pool2D struct {
	C, H, W          int
	KH, KW           int
	StrideH, StrideW int  // at least 1
	PadH, PadW       int  // added on each side, at most half the window
	CountPad         bool // average pooling divides by KH·KW, padding included
	ReLU             bool // max pooling of a ReLU's output, whose gradient its backward pass takes too
}

// Check returns an error that names the first dimension that makes no sense.
func (s Pool2D) Check() error {
	switch {
	case s.C < 1 || s.H < 1 || s.W < 1:
		return fmt.Errorf("pooling input %d×%d×%d (C×H×W): each must be at least 1", s.C, s.H, s.W)
	case s.KH < 1 || s.KW < 1:
		return fmt.Errorf("pooling window %d×%d: each must be at least 1", s.KH, s.KW)
	case s.StrideH < 1 || s.StrideW < 1:
		return fmt.Errorf("pooling stride %d×%d: each must be at least 1", s.StrideH, s.StrideW)
	case s.PadH < 0 || s.PadW < 0 || 2*s.PadH > s.KH || 2*s.PadW > s.KW:
		return fmt.Errorf("pooling padding %d×%d: each must be between 0 and half the window %d×%d", s.PadH, s.PadW, s.KH, s.KW)
	case s.H+2*s.PadH < s.KH || s.W+2*s.PadW < s.KW:
		return TooSmall{"pooling window", s.KH, s.KW, s.H + 2*s.PadH, s.W + 2*s.PadW}
	case !countable(s.C, s.H+2*s.PadH, s.W+2*s.PadW):
		return fmt.Errorf("pooling %+v: a tensor has more than %d elements", s, math.MaxInt32)
	}
	return nil
}

// OutH is the height of the output.
func (s Pool2D) OutH() int { return (s.H+2*s.PadH-s.KH)/s.StrideH + 1 }

// OutW is the width of the output.
func (s Pool2D) OutW() int { return (s.W+2*s.PadW-s.KW)/s.StrideW + 1 }

// In is the number of elements of one example's input.
func (s Pool2D) In() int { return s.C * s.H * s.W }

// Out is the number of elements of one example's output.
func (s Pool2D) Out() int { return s.C * s.OutH() * s.OutW() }

// countable reports whether the product of dims fits an int32, which is what
// tables and arg-max indices hold. A table reaches over up to piece examples.
func countable(dims ...int) bool {
	n := 1
	for _, d := range dims {
		if d > math.MaxInt32 {
			return false
		}
		if n *= d; n > math.MaxInt32 {
			return false
		}
	}
	return true
}

// examples returns how many examples of size elements there are in n elements.
func examples(op, name string, n, size int) int {
	if n%size != 0 {
		panic(fmt.Sprintf("kernels: %s: %s has %d elements, no multiple of %d an example", op, name, n, size))
	}
	return n / size
}

// length panics unless tensor name has want elements.
func length(op, name string, got, want int) {
	if got != want {
		panic(fmt.Sprintf("kernels: %s: %s has %d elements, want %d", op, name, got, want))
	}
}

// must panics with the error of a shape's Check.
func must(err error) {
	if err != nil {
		panic("kernels: " + err.Error())
	}
}

// lastCut returns how many examples cuts end at; it panics unless they are the
// boundaries of a power of two of micro-batches over at least one example.
func lastCut(op string, cuts []int) int {
	m := len(cuts) - 1
	ok := m >= 1 && m&(m-1) == 0 && cuts[0] == 0 && cuts[m] > 0
	for i := 0; ok && i < m; i++ {
		ok = cuts[i] <= cuts[i+1]
	}
	if !ok {
		panic(fmt.Sprintf("kernels: %s: cuts %v are not the boundaries of a power of two of micro-batches over at least one example", op, cuts))
	}
	return cuts[m]
}

// plane is the i-th size elements of v.
func plane[T any](v []T, i, size int) []T { return v[i*size:][:size] }
