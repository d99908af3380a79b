package models

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"convoy/internal/golden"
	"convoy/job"
	"convoy/kernels"
	"convoy/nn"
	"convoy/optim"
)

// listOf is a golden case's list of layers, read as a job file's: PyTorch's layers
// say their number of input channels too, and name some things differently.
func listOf(t *testing.T, c golden.Case) []job.Layer {
	t.Helper()
	var list []map[string]any
	for _, item := range c.Meta["layers"].([]any) {
		given, l := item.(map[string]any), map[string]any{}
		for name, value := range given {
			pair, isPair := value.([]any)
			switch {
			case name == "in":
			case name == "kernel" && isPair: // height and width
				if l[name] = pair[0]; pair[0] != pair[1] {
					t.Fatalf("a kernel of %v×%v: the job file's are square", pair[0], pair[1])
				}
			case name == "c1":
				l["1x1"] = value
			case name == "c2":
				l["3x3_reduce"], l["3x3"] = pair[0], pair[1]
			case name == "c3":
				l["5x5_reduce"], l["5x5"] = pair[0], pair[1]
			case name == "c4":
				l["pool_proj"] = value
			case value == "scaled_tanh_1998":
				l["type"] = "scaled_tanh"
			default:
				l[name] = value
			}
		}
		list = append(list, l)
	}
	text, err := json.Marshal(list) // YAML includes JSON
	if err != nil {
		t.Fatal(err)
	}
	f, err := job.Parse(fmt.Appendf(nil, "data: digits\nmodel: {layers: %s}\n", text), c.Name)
	if err != nil {
		t.Fatal(err)
	}
	return f.Layers
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

// TestGoldenModel follows PyTorch through whole networks, listed as in a job file:
// logits, loss, the first gradient, and three steps of SGD.
func TestGoldenModel(t *testing.T) {
	for _, o := range []nn.Options{{}, {Direct: true}} {
		t.Run(fmt.Sprintf("direct %t", o.Direct), func(t *testing.T) {
			golden.Each(t, "model_*", func(t *testing.T, c golden.Case) { testGoldenModel(t, c, o) })
		})
	}
}

func testGoldenModel(t *testing.T, c golden.Case, o nn.Options) {
	bound := 1e-4 // Winograd's
	if o.Direct {
		bound = 5e-5
	}
	dims := c.Dims("x")
	n := dims[0]
	net, err := fromList(listOf(t, c)).Build(10, nn.Shape{C: dims[1], H: dims[2], W: dims[3]}, o)
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
	near := func(prefix string, v []float32) {
		t.Helper()
		for _, x := range net.Tensors() {
			c.Near(t, prefix+pyTorchName(x.Name), v[x.Offset:x.Offset+x.Len], bound)
		}
	}
	pool := kernels.NewPool(2)
	defer pool.Close()
	p, logits := net.NewPass(pool), make([]float32, n*net.Classes())
	sgd, lr := goldenSGD(c)
	state := optim.NewState([]optim.Tensor{{Name: "all", Dims: []int{len(params)}}}, params, sgd)
	b := nn.Batch{Images: c.F32("x"), Cuts: []int{0, n / 2, n}}
	for _, l := range c.I64("labels") {
		b.Labels = append(b.Labels, int32(l))
	}
	p.Examine(params, b.Images, nil, nil, logits)
	c.Near(t, "logits", logits, bound)
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
		optim.NewUpdater(pool).Apply(state, sgd, grad, lr, 1, false)
	}
	near("after3.", params)
	c.Near(t, "losses", append(losses, float32(p.Evaluate(params, b).Loss/float64(n))), bound)
}

// goldenSGD are the settings of a case's three steps.
func goldenSGD(c golden.Case) (o optim.SGD, lr float32) {
	sgd := c.Meta["sgd"].(map[string]any)
	return optim.SGD{
		Momentum:    float32(sgd["momentum"].(float64)),
		WeightDecay: float32(sgd["weight_decay"].(float64)), Nesterov: sgd["nesterov"].(bool),
	}, float32(sgd["lr"].(float64))
}

// TestGoldenModelNoticesChanges of any expected number.
func TestGoldenModelNoticesChanges(t *testing.T) {
	golden.Notices(t, "TestGoldenModel", "model_inception_block")
}
