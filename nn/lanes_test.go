package nn

import (
	"fmt"
	"math"
	"testing"
)

// TestLanesTakeTheBeginning of networks, as far as geometry lets them.
func TestLanesTakeTheBeginning(t *testing.T) {
	five := Conv{Out: 6, Kernel: 5, Pad: 2}
	for _, c := range []struct {
		name  string
		model Chain
		in    Shape
		taken int // layers
	}{
		{"LeNet", Chain{five, Sigmoid{}, AvgPool{Kernel: 2}, Conv{Out: 16, Kernel: 5}, Tanh{}, MaxPool{Kernel: 2}, Flatten{}, Linear{Out: 3}}, Shape{1, 28, 28}, 7},
		{"LeNet-5", Chain{five, ScaledTanh{}, Subsample{}, ScaledTanh{}, Conv{Out: 16, Kernel: 5}, ScaledTanh{}, Subsample{}, Tanh{}, Conv{Out: 20, Kernel: 5}, Linear{Out: 3}}, Shape{1, 28, 28}, 8},
		{"no activation", Chain{five, MaxPool{Kernel: 2}, Flatten{}, Linear{Out: 3}}, Shape{3, 9, 9}, 3},
		{"another pooling", Chain{five, ReLU{}, MaxPool{Kernel: 3, Stride: 2}, Flatten{}, Linear{Out: 3}}, Shape{1, 9, 9}, 2},
		{"17 channels", Chain{Conv{Out: 17, Kernel: 3}, ReLU{}, Flatten{}, Linear{Out: 3}}, Shape{1, 9, 9}, 0},
		{"17 channels later", Chain{Chain{five, ReLU{}}, Conv{Out: 17, Kernel: 3}, Flatten{}, Linear{Out: 3}}, Shape{1, 9, 9}, 2},
		{"groups", Chain{five, ReLU{}, Conv{Out: 6, Kernel: 3, Groups: 2}, Flatten{}, Linear{Out: 3}}, Shape{1, 9, 9}, 2},
		{"large images", Chain{Conv{Out: 16, Kernel: 3, Pad: 1}, Flatten{}, Linear{Out: 3}}, Shape{1, 64, 64}, 0},
		{"no convolution first", Chain{Dropout{Rate: 0.5}, five, Flatten{}, Linear{Out: 3}}, Shape{1, 9, 9}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			op, ok := build(t, c.model, c.in).mustBind(newBinder(Options{}, false)).links[0].op.(*lanes)
			if c.taken == 0 {
				if ok {
					t.Errorf("the lanes take %v", op.out())
				}
				return
			}
			if !ok {
				t.Fatal("the lanes take nothing")
			}
			if want := build(t, c.model, c.in).Layers()[c.taken-1].Out; op.out() != want {
				t.Errorf("the lanes end in %v, want %v", op.out(), want)
			}
		})
	}
}

// TestLanesAgreeWithDirect, but for rounding, and each is the same for its
// options: the same layers in the same order have the same parameters.
func TestLanesAgreeWithDirect(t *testing.T) {
	for _, pool2 := range []Layer{MaxPool{Kernel: 2}, AvgPool{Kernel: 2}, Subsample{}, Chain{Subsample{}, Tanh{}}, Subsample{Max: true}} {
		for _, activation := range []Layer{ReLU{}, Tanh{}} {
			model := Chain{
				Conv{Out: 5, Kernel: 3, Pad: 1},
				activation, pool2,
				Conv{Out: 7, Kernel: 2, Stride: 2},
				activation,
				Conv{Out: 20, Kernel: 3, Pad: 1},
				activation,
				GlobalAvgPool{},
				Linear{Out: 4},
			}
			t.Run(fmt.Sprint(activation, pool2), func(t *testing.T) {
				var grads [2][]float32
				for i, o := range []Options{{}, {Direct: true}} {
					net, err := Build(model, Shape{2, 13, 12}, o)
					if err != nil {
						t.Fatal(err)
					}
					grads[i] = make([]float32, net.NumParams())
					net.NewPass(pool(t, 2)).Gradient(initial(net), batchOf(net, 37, 4), grads[i])
				}
				for i, v := range grads[1] {
					if math.Abs(float64(grads[0][i]-v)) > 1e-4*max(1, math.Abs(float64(v))) {
						t.Fatalf("gradient %d is %g, directly %g", i, grads[0][i], v)
					}
				}
			})
		}
	}
}
