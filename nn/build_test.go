package nn

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"convoy/digest"
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
		{Chain{Conv{Out: 2, Kernel: 3, Table: Table{"XX"}}}, Shape{2, 6, 6}, "layer 0 (Conv 2, kernel 3×3, by a table), input 2×6×6: its table has 1 rows for 2 channels"},
		{Chain{Conv{Out: 2, Kernel: 3, Table: Table{"X.", "Xx"}}}, Shape{2, 6, 6}, `row 1 of its table is "Xx": want an X or a dot for each of 2 outputs`},
		{Chain{Conv{Out: 2, Kernel: 3, Table: Table{"X.", "X."}}}, Shape{2, 6, 6}, "output 1 sees no channel"},
		{Chain{Conv{Out: 2, Kernel: 3, Groups: 2, Table: Table{"X.", "XX"}}}, Shape{2, 6, 6}, "it has 2 groups and a table: give one of them"},
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

// TestXavier: within the bounds, spread out over them, zero biases, and a function
// of the seed.
func TestXavier(t *testing.T) {
	net := build(t, Chain{Conv{Out: 20, Kernel: 5}, Flatten{}, Linear{Out: 30}}, Shape{3, 8, 8})
	params, other := initial(net), make([]float32, net.NumParams())
	net.Init(2, other)
	for i, bound := range []float64{math.Sqrt(6.0 / (3*25 + 20*25)), 0, math.Sqrt(6.0 / (320 + 30)), 0} {
		x := net.Tensors()[i]
		m := momentsOf(params[x.Offset : x.Offset+x.Len])
		if m.top > bound || m.top < 0.99*bound || math.Abs(m.mean) > 0.05*bound {
			t.Errorf("%s: %+v, want uniform in ±%v", x.Name, m, bound)
		}
		equal := 0
		for j := x.Offset; j < x.Offset+x.Len; j++ {
			if params[j] == other[j] {
				equal++
			}
		}
		if bound > 0 && equal > x.Len/100 {
			t.Errorf("%s: another seed gives %d equal values of %d", x.Name, equal, x.Len)
		}
	}
}

// moments are of some numbers; top is the greatest size.
type moments struct{ mean, deviation, kurtosis, top float64 }

func momentsOf(v []float32) (m moments) {
	n := float64(len(v))
	var square, fourth float64
	for _, x := range v {
		m.mean += float64(x) / n
		m.top = max(m.top, math.Abs(float64(x)))
	}
	for _, x := range v {
		d := float64(x) - m.mean
		square += d * d / n
		fourth += d * d * d * d / n
	}
	m.deviation, m.kurtosis = math.Sqrt(square), fourth/(square*square)
	return m
}

// TestInit: normal weights of the deviation that a layer, or the chain around it,
// asks for, the bias too; in branches and groups as well.
func TestInit(t *testing.T) {
	net := build(t, Chain{
		Chain{Conv{Out: 60, Kernel: 5}},
		Branches{{Conv{Out: 40, Kernel: 3, Groups: 4, Init: Gaussian(0.01, 1)}}, {Conv{Out: 50, Kernel: 3}, ReLU{}}},
		Flatten{},
		Linear{Out: 11},
	}.Initialised(He), Shape{3, 8, 8})
	params := initial(net)
	for i, want := range []moments{
		{deviation: math.Sqrt(2.0 / 75)},
		{},
		{deviation: 0.01},
		{mean: 1},
		{deviation: math.Sqrt(2.0 / 540)},
		{},
		{deviation: math.Sqrt(2.0 / 360)},
		{},
	} {
		x := net.Tensors()[i]
		m := momentsOf(params[x.Offset : x.Offset+x.Len])
		if want.deviation == 0 {
			if math.Abs(m.mean-want.mean) > 1e-12 || m.deviation > 1e-12 {
				t.Errorf("%s: %+v, want %v alone", x.Name, m, want.mean)
			}
			continue
		}
		if math.Abs(m.mean) > 0.06*want.deviation || math.Abs(m.deviation/want.deviation-1) > 0.04 || math.Abs(m.kurtosis-3) > 0.35 {
			t.Errorf("%s: %+v, want normal with a deviation of %v", x.Name, m, want.deviation)
		}
	}
}

// TestInitBits pins the numbers: the same on every machine. If they change on
// purpose, job.ArithmeticVersion changes with them.
func TestInitBits(t *testing.T) {
	const golden = "168a2c58249c6a4d1355d83edd0d2fcb137fa8dfbb70078c6c8e64440d194004"
	var b []byte
	for _, i := range []Init{Xavier, He, Gaussian(0.01, 1)} {
		net := build(t, Chain{Conv{Out: 5, Kernel: 3}, Flatten{}, Linear{Out: 1001}}.Initialised(i), Shape{3, 6, 6})
		for _, v := range initial(net) {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	if got := digest.Of(b).String(); got != golden {
		t.Errorf("digest %s, want %s", got, golden)
	}
}
