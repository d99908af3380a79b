package nn

import (
	"math"
	"strings"
	"testing"
)

// TestNames: PyTorch's numbering and order, inner chains spliced in.
func TestNames(t *testing.T) {
	convs := Chain{Conv{Out: 2, Kernel: 3, Pad: 1}, ReLU{}}
	net := build(t, Chain{convs, convs, Branches{{GlobalAvgPool{}, Linear{Out: 3}}, {Flatten{}, Linear{Out: 4}}}, Linear{Out: 5}}, Shape{1, 4, 4})
	want := []string{
		"0.weight", "0.bias", "2.weight", "2.bias",
		"4.0.1.weight", "4.0.1.bias", "4.1.1.weight", "4.1.1.bias", "5.weight", "5.bias",
	}
	offset := 0
	for i, x := range net.Tensors() {
		n := 1
		for _, d := range x.Dims {
			n *= d
		}
		if i >= len(want) || x.Name != want[i] || x.Offset != offset || x.Len != n {
			t.Errorf("tensor %d is %+v, want %v at %d", i, x, want, offset)
		}
		offset += x.Len
	}
	if offset != net.NumParams() || net.Classes() != 5 {
		t.Errorf("%d parameters in tensors, %d in all; %d classes", offset, net.NumParams(), net.Classes())
	}
}

// TestErrors: they name the layer, its place and the shapes.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		model Chain
		in    Shape
		want  string
	}{
		{Chain{Linear{Out: 3}}, Shape{1, 4, 4}, "layer 0 (Linear 3), input 1×4×4: it takes a flat vector, not 1×4×4: put Flatten before it"},
		{Chain{Conv{Out: 2, Kernel: 3}, ReLU{}, Conv{Out: 2, Kernel: 5}}, Shape{1, 6, 6}, "layer 2 (Conv 2, kernel 5×5), input 2×4×4: convolution kernel 5×5 is larger"},
		{Chain{Conv{Out: 2, Kernel: 3, Stride: -1}}, Shape{1, 6, 6}, "layer 0 (Conv 2, kernel 3×3, stride -1)"},
		{Chain{Conv{Out: 4, Kernel: 3, Groups: 4}}, Shape{6, 6, 6}, "layer 0 (Conv 4, kernel 3×3, groups 4), input 6×6×6: convolution from 6 to 4 channels in 4 groups: the groups must divide both"},
		{Chain{Conv{Out: 4, Kernel: 3, Groups: -1}}, Shape{6, 6, 6}, "layer 0 (Conv 4, kernel 3×3, groups -1)"},
		{Chain{MaxPool{Kernel: 3, Stride: 2, Pad: 2}}, Shape{1, 6, 6}, "layer 0 (MaxPool 3×3, stride 2, padding 2), input 1×6×6: pooling padding"},
		{Chain{Chain{ReLU{}}, AvgPool{Kernel: 9}}, Shape{1, 6, 6}, "layer 1 (AvgPool 9×9), input 1×6×6"},
		{Chain{Branches{{ReLU{}}, {ReLU{}, Linear{}}}}, Shape{3, 1, 1}, "layer 0.1.1 (Linear 0), input 3×1×1"},
		{Chain{Branches{{ReLU{}}, {MaxPool{Kernel: 2}}}}, Shape{3, 4, 4}, "layer 0 (Branches, 2 of them), input 3×4×4: branch 1 ends in 3×2×2, branch 0 in 3×4×4"},
		{Chain{Branches{}}, Shape{3, 4, 4}, "layer 0 (Branches, 0 of them)"},
		{Chain{Branches{{ReLU{}}, {}}}, Shape{3, 4, 4}, "branch 0.1 has no layers"},
		{Chain{Dropout{Rate: 1}}, Shape{3, 4, 4}, "layer 0 (Dropout 1), input 3×4×4: a rate of 1: want one from 0 to below 1"},
		{Chain{LRN{Size: 0}}, Shape{3, 4, 4}, "layer 0 (LRN over 0, alpha 0, beta 0, k 0), input 3×4×4: normalisation over 0"},
		{Chain{RBF{Out: 2, Codes: codes(2, 9)}}, Shape{1, 3, 3}, "layer 0 (RBF 2), input 1×3×3: it takes a flat vector"},
		{Chain{RBF{Out: 3, Codes: codes(2, 4)}}, Shape{4, 1, 1}, "there are codes for 2 classes, not for 3"},
		{Chain{Named{"OUT", RBF{Out: 2, Codes: codes(2, 3)}}}, Shape{4, 1, 1}, "layer OUT (RBF 2), input 4×1×1: the code of class 0 has 3 values"},
		{Chain{}, Shape{3, 4, 4}, "the network has no layers"},
		{Chain{Conv{Out: 2, Kernel: 3}}, Shape{1, 6, 6}, "the network ends in 2×4×4: end it with GlobalAvgPool"},
		{Chain{Flatten{}}, Shape{1, 6, 6}, "no parameters"},
		{Chain{Flatten{}}, Shape{1, 0, 6}, "network input 1×0×6"},
	} {
		_, err := Build(c.model, c.in, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v on %v: error %v, want %q in it", c.model, c.in, err, c.want)
		}
	}
}

// TestInit: within the bounds of Xavier, spread out over them, zero biases, and
// a function of the seed.
func TestInit(t *testing.T) {
	net := build(t, Chain{Conv{Out: 20, Kernel: 5}, Flatten{}, Linear{Out: 30}}, Shape{3, 8, 8})
	params, other := initial(net), make([]float32, net.NumParams())
	net.Init(2, other)
	for i, bound := range []float64{math.Sqrt(6.0 / (3*25 + 20*25)), 0, math.Sqrt(6.0 / (320 + 30)), 0} {
		x := net.Tensors()[i]
		var top, sum float64
		equal := 0
		for j := x.Offset; j < x.Offset+x.Len; j++ {
			top = max(top, math.Abs(float64(params[j])))
			sum += float64(params[j])
			if params[j] == other[j] {
				equal++
			}
		}
		if top > bound || top < 0.99*bound || math.Abs(sum/float64(x.Len)) > 0.05*bound {
			t.Errorf("%s: greatest %v, mean %v, want uniform in ±%v", x.Name, top, sum/float64(x.Len), bound)
		}
		if bound > 0 && equal > x.Len/100 {
			t.Errorf("%s: another seed gives %d equal values of %d", x.Name, equal, x.Len)
		}
	}
}
