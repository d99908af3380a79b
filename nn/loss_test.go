package nn

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"convoy/kernels"
)

// codes are n codes of ±1 of some length, for tests.
func codes(n, length int) [][]float32 {
	list := make([][]float32, n)
	for i := range list {
		for _, v := range uniform(length, uint64(70+i)) {
			list[i] = append(list[i], float32(math.Copysign(1, float64(v))))
		}
	}
	return list
}

// The networks whose losses are tested, by what they end in.
var (
	endsInLogits = Chain{Flatten{}, Linear{Out: 5}}
	endsInRBF    = Chain{Flatten{}, Linear{Out: 4}, RBF{Out: 5, Codes: codes(5, 4)}}
)

// TestLossGradients compares every loss's gradient with central differences. A new
// loss is one line here.
func TestLossGradients(t *testing.T) {
	for _, c := range []struct {
		loss  Loss
		model Chain
	}{
		{CrossEntropy{}, endsInLogits},
		{SquaredDistance{}, endsInLogits},
		{SquaredDistance{}, endsInRBF},
		{Discriminative{}, endsInRBF},
	} {
		t.Run(fmt.Sprint(c.loss, c.model[len(c.model)-1]), func(t *testing.T) {
			net, err := Build(c.model, Shape{1, 2, 2}, Options{Loss: c.loss})
			if err != nil {
				t.Fatal(err)
			}
			checkLossGradient(t, net.lossOf)
		})
	}
}

func checkLossGradient(t *testing.T, f lossFunc) {
	const n, classes = 6, 5
	p := pool(t, 2)
	y, labels, losses := uniform(n*classes, 3), make([]int32, n), make([]float64, n)
	for i := range y {
		y[i] = 2 * (y[i] + 1)
	}
	for i := range labels {
		labels[i] = int32(i % classes)
	}
	objective := func() (sum float64) {
		f(p, classes, y, labels, losses, nil)
		for _, l := range losses {
			sum += l
		}
		return sum
	}
	gy := make([]float32, n*classes)
	f(p, classes, y, labels, losses, gy)
	compare(t, "outputs", gy, y, objective)
}

// TestLossValues against the formulas, computed plainly.
func TestLossValues(t *testing.T) {
	y := []float32{0.5, 3, 2}
	rest := math.Exp(-kernels.RubbishPenalty) + math.Exp(-0.5) + math.Exp(-3) + math.Exp(-2)
	for _, c := range []struct {
		loss   Loss
		model  Chain
		label  int32
		want   float64
		answer bool
	}{
		{CrossEntropy{}, endsInLogits, 1, math.Log(math.Exp(0.5)+math.Exp(3)+math.Exp(2)) - 3, true},
		{SquaredDistance{}, endsInLogits, 1, 0.25 + 4 + 4, true},
		{SquaredDistance{}, endsInLogits, 0, 0.25 + 9 + 4, false},
		{SquaredDistance{}, endsInRBF, 2, 2, false},
		{SquaredDistance{}, endsInRBF, 0, 0.5, true},
		{Discriminative{}, endsInRBF, 0, 0.5 + math.Log(rest), true},
		{Discriminative{}, endsInRBF, 1, 3 + math.Log(rest), false},
	} {
		net, err := Build(c.model, Shape{1, 2, 2}, Options{Loss: c.loss})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, 1)
		hits := net.lossOf(pool(t, 1), len(y), y, []int32{c.label}, got, nil)
		if math.Abs(got[0]-c.want) > 1e-12 || (hits.Top1 == 1) != c.answer {
			t.Errorf("%s of label %d is %v, hits %+v; want %v, %v", c.loss, c.label, got[0], hits, c.want, c.answer)
		}
	}
}

// Penalties far apart neither overflow nor lose the loss.
func TestDiscriminativeFarApart(t *testing.T) {
	losses, gy := make([]float64, 3), make([]float32, 6)
	kernels.DiscriminativePenalty(pool(t, 1), 2, []float32{3e38, 0, 2000, 1000, 900, 3e38}, []int32{1, 0, 0}, losses, gy)
	small := math.Log(1 + math.Exp(-1))
	for i, want := range []float64{small, 1999, 899} {
		if math.Abs(losses[i]-want) > 1e-9 {
			t.Errorf("loss %d is %v, want %v", i, losses[i], want)
		}
	}
	for _, g := range gy {
		if math.IsNaN(float64(g)) || math.Abs(float64(g)) > 1 {
			t.Errorf("gradients %v, want them within ±1", gy)
		}
	}
}

// TestLossChoice: a network's own loss, and losses that do not go with it.
func TestLossChoice(t *testing.T) {
	for _, c := range []struct {
		model   Chain
		loss    Loss
		want    Loss
		problem string
	}{
		{endsInLogits, nil, CrossEntropy{}, ""},
		{endsInRBF, nil, Discriminative{}, ""},
		{endsInRBF, SquaredDistance{}, SquaredDistance{}, ""},
		{endsInRBF, CrossEntropy{}, nil, "loss cross-entropy: the network ends in an RBF layer"},
		{endsInLogits, Discriminative{}, nil, "loss rbf: it compares the penalties of an RBF layer"},
	} {
		net, err := Build(c.model, Shape{1, 2, 2}, Options{Loss: c.loss})
		switch {
		case c.problem != "":
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%v: error %v, want %q", c.loss, err, c.problem)
			}
		case err != nil:
			t.Error(err)
		case net.Loss() != c.want:
			t.Errorf("%v becomes %v, want %v", c.loss, net.Loss(), c.want)
		}
	}
}
