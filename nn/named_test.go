package nn

import (
	"fmt"
	"strings"
	"testing"
)

// TestNamed: a name stands for the layer's number, in tensors and in the summary,
// and for what is behind the layer; the lanes and the other operators agree.
func TestNamed(t *testing.T) {
	model := Chain{
		Named{"C1", Chain{Conv{Out: 3, Kernel: 3}, Tanh{}}},
		MaxPool{Kernel: 2},
		Named{"C3", relu(Conv{Out: 17, Kernel: 3})},
		Flatten{},
		Named{"F", Linear{Out: 5}},
	}
	for _, o := range []Options{{}, {Direct: true}} {
		net, err := Build(model, Shape{1, 9, 9}, o)
		if err != nil {
			t.Fatal(err)
		}
		var layers, tensors []string
		for _, l := range net.Layers() {
			layers = append(layers, fmt.Sprintf("%s %s %v %d %d/%d", l.Name, l.Type, l.Out, l.Params, l.ReceptiveField, l.Stride))
		}
		for _, x := range net.Tensors() {
			tensors = append(tensors, x.Name)
		}
		const want = "C1 conv 3×7×7 30 3/1, 2 maxpool 3×3×3 0 4/2, C3 conv 17×1×1 476 8/2, 5 flatten 17×1×1 0 8/2, F linear 5×1×1 90 8/2"
		if got := strings.Join(layers, ", "); got != want {
			t.Errorf("%+v: layers %s, want %s", o, got, want)
		}
		if got, want := strings.Join(tensors, " "), "C1.weight C1.bias C3.weight C3.bias F.weight F.bias"; got != want {
			t.Errorf("%+v: tensors %s, want %s", o, got, want)
		}
		if got, want := net.Layers()[0].Layer, "Conv 3, kernel 3×3, Tanh"; got != want {
			t.Errorf("%+v: the first layer is %q, want %q", o, got, want)
		}
	}
	_, err := Build(Chain{Flatten{}, Named{"F", Chain{Linear{Out: 3}, Linear{Out: 3}}}}, Shape{1, 2, 2}, Options{})
	if err == nil || !strings.Contains(err.Error(), "two tensors F.weight") {
		t.Errorf("one name for two layers: error %v", err)
	}
}

func relu(l Layer) Chain { return Chain{l, ReLU{}} }
