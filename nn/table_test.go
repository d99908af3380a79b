package nn

import (
	"math"
	"testing"
)

// TestTableIsZeros: a convolution by a table has the bits of one whose kernels
// without a connection are zero, its MACs count the connected ones alone, and each
// kernel begins as the inputs of its output say; with images in the lanes and
// without.
func TestTableIsZeros(t *testing.T) {
	table := Table{"X.X", ".XX", "X.X"}
	model := func(table Table) Chain {
		return Chain{
			Conv{Out: 3, Kernel: 3, Pad: 1},
			Tanh{},
			Named{"C3", Chain{Conv{Out: 3, Kernel: 3, Table: table}, Tanh{}}},
			AvgPool{Kernel: 2},
			Flatten{},
			Linear{Out: 4},
		}.Initialised(LeCun)
	}
	for _, o := range []Options{{}, {Direct: true}} {
		var nets [2]*Net
		for i, m := range []Table{table, nil} {
			var err error
			if nets[i], err = Build(model(m), Shape{1, 8, 9}, o); err != nil {
				t.Fatal(err)
			}
		}
		sparse, dense := nets[0], nets[1]
		weights := sparse.Tensors()[2]
		if weights.Name != "C3.weight" || weights.Len != 6*9 || sparse.NumParams() != dense.NumParams()-3*9 {
			t.Fatalf("tensor %+v of %d parameters", weights, sparse.NumParams())
		}
		if got, want := sparse.MACs(), dense.MACs()-3*9*6*7; got != want {
			t.Errorf("%d MACs, want %d", got, want)
		}
		params := initial(sparse)
		checkTableInit(t, params[weights.Offset:][:weights.Len])
		full := make([]float32, dense.NumParams())
		spread := func(v []float32) []float32 {
			clear(full)
			copy(full, v[:weights.Offset])
			at := weights.Offset
			for o := range 3 {
				for c := range 3 {
					if table.sees(o, c) {
						copy(full[weights.Offset+(o*3+c)*9:][:9], v[at:])
						at += 9
					}
				}
			}
			copy(full[weights.Offset+81:], v[weights.Offset+weights.Len:])
			return full
		}
		b := batchOf(sparse, 9, 4)
		grad, whole := make([]float32, sparse.NumParams()), make([]float32, dense.NumParams())
		got := sparse.NewPass(pool(t, 2)).Gradient(params, b, grad)
		want := dense.NewPass(pool(t, 2)).Gradient(append([]float32(nil), spread(params)...), b, whole)
		if got != want {
			t.Errorf("%+v: sums %v, want %v", o, got, want)
		}
		for i, v := range spread(grad) {
			inside := i >= weights.Offset && i < weights.Offset+81 && v == 0
			if !inside && v != whole[i] {
				t.Fatalf("%+v: gradient %d is %v, want %v", o, i, v, whole[i])
			}
		}
	}
}

// checkTableInit: outputs 0 to 2 see 2, 1 and 3 channels by kernels of 9.
func checkTableInit(t *testing.T, weights []float32) {
	t.Helper()
	at := 0
	for _, inputs := range []int{2, 1, 3} {
		bound, top := 2.4/float64(9*inputs), 0.0
		for ; inputs > 0; inputs-- {
			for range 9 {
				top = max(top, math.Abs(float64(weights[at])))
				at++
			}
		}
		if top > bound || top < 0.7*bound {
			t.Errorf("weights up to %v, want nearly %v", top, bound)
		}
	}
}
