package nn

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"convoy/digest"
	"convoy/kernels"
	"convoy/tree"
)

// algorithms is a small network with every algorithm of the kernels in it.
var algorithms = Chain{
	Conv{Out: 17, Kernel: 5, Stride: 2, Pad: 1},
	ReLU{},
	LRN{Size: 5, Alpha: 0.1, Beta: 0.75, K: 2},
	Conv{Out: 35, Kernel: 5, Pad: 2},
	ReLU{},
	MaxPool{Kernel: 3, Stride: 2},
	inception(33, 16, 36, 16, 16, 17),
	Conv{Out: 64, Kernel: 3, Pad: 1},
	Tanh{},
	AvgPool{Kernel: 2, Pad: 1},
	Dropout{Rate: 0.3},
	Flatten{},
	Linear{Out: 70},
	ReLU{},
	Dropout{Rate: 0.5},
	Linear{Out: 10},
}

// narrow is a small network whose convolutions have few channels.
var narrow = Chain{
	Conv{Out: 6, Kernel: 5, Pad: 2},
	ReLU{},
	MaxPool{Kernel: 2},
	Conv{Out: 11, Kernel: 3},
	Sigmoid{},
	AvgPool{Kernel: 2},
	Flatten{},
	Linear{Out: 20},
	ReLU{},
	Linear{Out: 10},
}

// stepDigest names the gradients and losses of a training step of both networks,
// with either choice of algorithms.
func stepDigest(threads int, divide func(p *Pass, params []float32, b Batch) ([]float32, Sums)) string {
	p := kernels.NewPool(threads)
	defer p.Close()
	var names []string
	for _, model := range []Chain{algorithms, narrow} {
		for _, o := range []Options{{}, {Direct: true}} {
			net, err := Build(model, Shape{3, 19, 21}, o)
			if err != nil {
				panic(err)
			}
			pass := net.NewPass(p)
			grad, sums := divide(pass, initial(net), batchOf(net, 7, 4))
			e := pass.Evaluate(initial(net), batchOf(net, 21, 1))
			names = append(names, fmt.Sprint(digest.OfGradient(grad, digest.Sums(sums)), e))
		}
	}
	return digest.Of([]byte(strings.Join(names, "\n"))).String()
}

func whole(p *Pass, params []float32, b Batch) ([]float32, Sums) {
	grad := make([]float32, len(params))
	return grad, p.Gradient(params, b, grad)
}

func divided(p *Pass, params []float32, b Batch) ([]float32, Sums) {
	return byHalves(p, params, b, tree.Node{Low: 0, High: 4})
}

// child makes TestStepBits print the digest alone.
const child = "CONVOY_PRINT_STEP"

// stepGolden pins the bits of stepDigest. If they change on purpose,
// job.ArithmeticVersion changes with them.
const stepGolden = "c2ec4f389b89b85be093eadcff2af1a08aee74ff07eb90f78b047a3d3d009fda"

// TestStepBits: one digest for every number of goroutines and every division of
// the batch, and with every implementation of the kernels that this machine has.
func TestStepBits(t *testing.T) {
	want := stepDigest(1, whole)
	if os.Getenv(child) != "" {
		fmt.Println("digest", want)
		return
	}
	if want != stepGolden {
		t.Errorf("digest %s, want %s", want, stepGolden)
	}
	for threads := 1; threads <= 3; threads++ {
		if got := stepDigest(threads, divided); got != want {
			t.Errorf("%d threads, micro-batch by micro-batch: digest %s, want %s", threads, got, want)
		}
	}
	if got := stepDigest(3, whole); got != want {
		t.Errorf("3 threads: digest %s, want %s", got, want)
	}
	for _, name := range []string{"avx512", "avx2", "neon", "generic"} {
		t.Run(name, func(t *testing.T) {
			c := exec.Command(os.Args[0], "-test.run=^TestStepBits$")
			c.Env = append(os.Environ(), child+"=1", kernels.Variable+"="+name)
			out, err := c.CombinedOutput()
			switch {
			case strings.Contains(string(out), "this machine has"):
				t.Skip("this machine does not have it")
			case err != nil && !errors.As(err, new(*exec.ExitError)):
				t.Skipf("an emulator does not start programs: %v", err)
			case err != nil:
				t.Fatalf("%v: %s", err, out)
			case !strings.Contains(string(out), "digest "+want):
				t.Errorf("%s, want digest %s of %s", out, want, kernels.Implementation())
			}
		})
	}
}
