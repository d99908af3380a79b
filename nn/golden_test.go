package nn

import (
	"fmt"
	"strings"
	"testing"

	"convoy/internal/golden"
	"convoy/optim"
)

// layersOf builds the layers that a golden case lists, or returns the type of
// one that there is none for.
func layersOf(c golden.Case) (model Chain, missing string) {
	for _, item := range c.Meta["layers"].([]any) {
		l := item.(map[string]any)
		number := func(key string) int { return int(l[key].(float64)) }
		numbers := func(key string) [2]int {
			v := l[key].([]any)
			return [2]int{int(v[0].(float64)), int(v[1].(float64))}
		}
		switch l["type"] {
		case "conv":
			model = append(model, Conv{Out: number("out"), Kernel: numbers("kernel")[0], Stride: number("stride"), Pad: number("padding")})
		case "linear":
			model = append(model, Linear{Out: number("out")})
		case "maxpool":
			model = append(model, MaxPool{Kernel: number("kernel"), Stride: number("stride"), Pad: number("padding")})
		case "avgpool":
			model = append(model, AvgPool{Kernel: number("kernel"), Stride: number("stride"), Pad: number("padding")})
		case "gap":
			model = append(model, GlobalAvgPool{})
		case "relu":
			model = append(model, ReLU{})
		case "sigmoid":
			model = append(model, Sigmoid{})
		case "flatten":
			model = append(model, Flatten{})
		case "inception":
			c2, c3 := numbers("c2"), numbers("c3")
			model = append(model, inception(number("c1"), c2[0], c2[1], c3[0], c3[1], number("c4")))
		default:
			return nil, fmt.Sprint(l["type"])
		}
	}
	return model, ""
}

// pyTorchName turns a tensor's name in an inception block into the golden
// files': layer 0.1.2 is the second convolution of the second branch, b2_2.
func pyTorchName(name string) string {
	for from, to := range map[string]string{
		".0.0.": ".b1_1.", ".1.0.": ".b2_1.", ".1.2.": ".b2_2.", ".2.0.": ".b3_1.", ".2.2.": ".b3_2.", ".3.1.": ".b4_2.",
	} {
		if i := strings.Index(name, from); i > 0 {
			return name[:i] + to + name[i+len(from):]
		}
	}
	return name
}

// TestGoldenModel follows PyTorch through whole networks: logits, loss, the
// first gradient, and three steps of SGD.
func TestGoldenModel(t *testing.T) {
	const bound = 5e-5
	golden.Each(t, "model_*", func(t *testing.T, c golden.Case) {
		model, missing := layersOf(c)
		if missing != "" {
			t.Skipf("there is no layer %s", missing)
		}
		dims := c.Dims("x")
		net := build(t, model, Shape{dims[1], dims[2], dims[3]})
		params, grad := make([]float32, net.NumParams()), make([]float32, net.NumParams())
		for _, x := range net.Tensors() {
			name := "param." + pyTorchName(x.Name)
			if fmt.Sprint(c.Dims(name)) != fmt.Sprint(x.Dims) {
				t.Fatalf("%s has dimensions %v, PyTorch's %v", x.Name, x.Dims, c.Dims(name))
			}
			copy(params[x.Offset:x.Offset+x.Len], c.F32(name))
		}
		n := dims[0]
		b := Batch{Images: c.F32("x"), Cuts: []int{0, n / 2, n}}
		for _, l := range c.I64("labels") {
			b.Labels = append(b.Labels, int32(l))
		}
		p := net.NewPass(pool(t, 2))
		sgd := c.Meta["sgd"].(map[string]any)
		o := optim.SGD{
			LR: float32(sgd["lr"].(float64)), Momentum: float32(sgd["momentum"].(float64)),
			WeightDecay: float32(sgd["weight_decay"].(float64)), Nesterov: sgd["nesterov"].(bool),
		}
		velocity := make([]float32, len(params))
		near := func(prefix string, v []float32) {
			t.Helper()
			for _, x := range net.Tensors() {
				c.Near(t, prefix+pyTorchName(x.Name), v[x.Offset:x.Offset+x.Len], bound)
			}
		}
		p.run.params = params
		p.run.n = n
		c.Near(t, "logits", p.op.forward(&p.run, b.Images), bound)
		var losses []float32
		for step := range 3 {
			s := p.Gradient(params, b, grad)
			for i := range grad {
				grad[i] /= float32(s.Examples)
			}
			losses = append(losses, float32(s.Loss/float64(s.Examples)))
			if step == 0 {
				near("grad.", grad)
				c.Near(t, "loss", losses, bound)
			}
			o.Apply(params, velocity, grad, o.LR)
		}
		near("after3.", params)
		c.Near(t, "losses", append(losses, float32(p.Evaluate(params, b).Loss/float64(n))), bound)
	})
}

// given is an operator that stands for a branch of a known shape.
type given struct {
	operator
	shape Shape
}

func (g given) out() Shape { return g.shape }

func TestGoldenConcat(t *testing.T) {
	golden.Each(t, "concat_*", func(t *testing.T, c golden.Case) {
		b := branches{gy: c.F32("gy"), y: make([]float32, len(c.F32("y")))}
		for i := 0; c.Has(fmt.Sprintf("x%d", i)); i++ {
			name := fmt.Sprintf("x%d", i)
			d := c.Dims(name)
			b.ops = append(b.ops, given{shape: Shape{d[1], d[2], d[3]}})
			b.ys = append(b.ys, c.F32(name))
			b.gys = append(b.gys, make([]float32, len(c.F32(name))))
			b.shape = Shape{b.shape.C + d[1], d[2], d[3]}
		}
		for example := range c.Dims("y")[0] {
			b.join(example)
			b.split(example)
		}
		c.Near(t, "y", b.y, 0)
		for i, g := range b.gys {
			c.Near(t, fmt.Sprintf("gx%d", i), g, 0)
		}
	})
}

func TestGoldenGlobalAvgPool(t *testing.T) {
	golden.Each(t, "gap_*", func(t *testing.T, c golden.Case) {
		d := c.Dims("x")
		op, err := GlobalAvgPool{}.bind(nil, Shape{d[1], d[2], d[3]})
		if err != nil {
			t.Fatal(err)
		}
		r := run{pool: pool(t, 2), n: d[0]}
		c.Near(t, "y", op.forward(&r, c.F32("x")), 2e-6)
		c.Near(t, "gx", op.backward(&r, c.F32("gy"), true), 2e-6)
	})
}
