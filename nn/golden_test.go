package nn

import (
	"fmt"
	"strings"
	"testing"

	"convoy/internal/golden"
	"convoy/kernels"
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
			conv := Conv{Out: number("out"), Kernel: numbers("kernel")[0], Stride: number("stride"), Pad: number("padding")}
			if _, ok := l["groups"]; ok {
				conv.Groups = number("groups")
			}
			model = append(model, conv)
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
		case "tanh":
			model = append(model, Tanh{})
		case "scaled_tanh_1998":
			model = append(model, ScaledTanh{})
		case "lrn":
			value := func(key string) float32 { return float32(l[key].(float64)) }
			model = append(model, LRN{Size: number("size"), Alpha: value("alpha"), Beta: value("beta"), K: value("k")})
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
	for _, o := range []Options{{}, {Direct: true}} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) { testGoldenModel(t, o) })
	}
}

func testGoldenModel(t *testing.T, o Options) {
	bound := 1e-4 // Winograd's
	if o.Direct {
		bound = 5e-5
	}
	golden.Each(t, "model_*", func(t *testing.T, c golden.Case) {
		model, missing := layersOf(c)
		if missing != "" {
			t.Skipf("there is no layer %s", missing)
		}
		dims := c.Dims("x")
		net, err := Build(model, Shape{dims[1], dims[2], dims[3]}, o)
		if err != nil {
			t.Fatal(err)
		}
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
		p.Evaluate(params, b)
		c.Near(t, "logits", p.logits, bound)
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

// given is an operator that stands for a branch of a known output.
type given struct {
	shape Shape
	y, gy []float32 // NCHW
}

func (g *given) out() Shape     { return g.shape }
func (g *given) traits() traits { return traits{windows: true, adds: true} }

func (g *given) forward(r *run, _, y kernels.Maps) {
	kernels.NCHWToMaps(r.pool, r.n, g.shape.C, g.shape.pixels(), g.y, y)
}

func (g *given) backward(r *run, _, _, gy, _ kernels.Maps, _ bool) {
	kernels.MapsToNCHW(r.pool, r.n, g.shape.C, g.shape.pixels(), gy, g.gy)
}

func TestGoldenConcat(t *testing.T) {
	golden.Each(t, "concat_*", func(t *testing.T, c golden.Case) {
		var b branches
		for i := 0; c.Has(fmt.Sprintf("x%d", i)); i++ {
			name := fmt.Sprintf("x%d", i)
			d := c.Dims(name)
			s := Shape{d[1], d[2], d[3]}
			g := &given{s, c.F32(name), make([]float32, len(c.F32(name)))}
			b.chains = append(b.chains, &chain{wantsInput: true, links: []link{{op: g, traits: g.traits(), out: s}}})
			b.shape = Shape{b.shape.C + s.C, s.H, s.W}
		}
		r := run{pool: pool(t, 2), n: c.Dims("y")[0]}
		turned := func(v []float32) kernels.Maps {
			m := kernels.Maps{V: make([]float32, len(v)), Pitch: b.shape.C}
			kernels.NCHWToMaps(r.pool, r.n, b.shape.C, b.shape.pixels(), v, m)
			return m
		}
		y := kernels.Maps{V: make([]float32, len(c.F32("y"))), Pitch: b.shape.C}
		b.forward(&r, kernels.Maps{}, y)
		b.backward(&r, kernels.Maps{}, y, turned(c.F32("gy")), kernels.Maps{}, false)
		if !sameBits(y.V, turned(c.F32("y")).V) {
			t.Error("the outputs are not joined")
		}
		for i, inner := range b.chains {
			c.Near(t, fmt.Sprintf("gx%d", i), inner.links[0].op.(*given).gy, 0)
		}
	})
}

func TestGoldenGlobalAvgPool(t *testing.T) {
	golden.Each(t, "gap_*", func(t *testing.T, c golden.Case) {
		d := c.Dims("x")
		s := Shape{d[1], d[2], d[3]}
		r, op := bound(t, GlobalAvgPool{}, s, true)
		r.n = d[0]
		v := make([]float32, len(c.F32("x")))
		x := kernels.Maps{V: v, Pitch: s.C}
		kernels.NCHWToMaps(r.pool, r.n, s.C, s.pixels(), c.F32("x"), x)
		y := kernels.Maps{V: make([]float32, r.n*s.C), Pitch: s.C}
		op.forward(r, x, y)
		c.Near(t, "y", y.V, 2e-6)
		op.backward(r, x, y, kernels.Maps{V: c.F32("gy"), Pitch: s.C}, x, false)
		gx := make([]float32, len(v))
		kernels.MapsToNCHW(r.pool, r.n, s.C, s.pixels(), x, gx)
		c.Near(t, "gx", gx, 2e-6)
	})
}
