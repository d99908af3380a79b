package nn

import (
	"math"
	"testing"
)

// TestWholeConv: a convolution that covers its input is computed as a matrix
// product, with the same parameters and, but for rounding, the same gradients as by
// the definition.
func TestWholeConv(t *testing.T) {
	model := Chain{Conv{Out: 20, Kernel: 3}, Tanh{}, Conv{Out: 9, Kernel: 4}, ReLU{}, Linear{Out: 5}}
	var grads [2][]float32
	for i, want := range []string{"matrix product", "direct"} {
		net, err := Build(model, Shape{3, 6, 6}, Options{Direct: i == 1})
		if err != nil {
			t.Fatal(err)
		}
		if l := net.Layers()[2]; l.Algorithm != want || l.Out != (Shape{9, 1, 1}) || l.Params != 9*(20*16+1) || l.MACs != 9*20*16 || l.ReceptiveField != 6 {
			t.Errorf("layer 2 is %+v, want one by %s", l, want)
		}
		grads[i] = make([]float32, net.NumParams())
		net.NewPass(pool(t, 2)).Gradient(initial(net), batchOf(net, 13, 4), grads[i])
	}
	for i, v := range grads[1] {
		if math.Abs(float64(grads[0][i]-v)) > 1e-4*max(1, math.Abs(float64(v))) {
			t.Fatalf("gradient %d is %g, directly %g", i, grads[0][i], v)
		}
	}
}
