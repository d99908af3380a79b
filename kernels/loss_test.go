package kernels

import (
	"math"
	"testing"
)

func TestSoftmaxCrossEntropy(t *testing.T) {
	z := noise(5)
	const classes, n = 10, 300
	x, labels, right := z.floats(n*classes), make([]int32, n), 0
	for i := range labels {
		labels[i] = int32(i * 7 % classes)
		row := plane(x, i, classes)
		row[3], row[8] = 2, 2 // equal maxima: the first wins
		if labels[i] == 3 {
			right++
		}
	}
	losses, gx := make([]float64, n), stale(n*classes)
	if got := SoftmaxCrossEntropy(newPool(t, 1), classes, x, labels, losses, gx); got != right {
		t.Errorf("%d correct, want %d", got, right)
	}
	for i, l := range labels {
		row, sum := plane(x, i, classes), 0.0
		for _, v := range row {
			sum += math.Exp(float64(v))
		}
		if want := math.Log(sum) - float64(row[l]); math.Abs(losses[i]-want) > 1e-12 {
			t.Errorf("loss %d is %v, want %v", i, losses[i], want)
		}
		for j, v := range row {
			want := math.Exp(float64(v)) / sum
			if j == int(l) {
				want--
			}
			if got := float64(gx[i*classes+j]); math.Abs(got-want) > 1e-7 {
				t.Errorf("gradient %d of example %d is %v, want %v", j, i, got, want)
			}
		}
	}
	eachThreads(func(p *Pool) {
		again, got := make([]float64, n), append([]float32(nil), x...)
		if c := SoftmaxCrossEntropy(p, classes, got, labels, again, got); c != right {
			t.Errorf("%d threads: %d correct, want %d", p.Threads(), c, right)
		}
		sameBits(t, "gx in place", got, gx)
		for i := range losses {
			if math.Float64bits(again[i]) != math.Float64bits(losses[i]) {
				t.Fatalf("%d threads: loss %d is %v, want %v", p.Threads(), i, again[i], losses[i])
			}
		}
		if c := SoftmaxCrossEntropy(p, classes, x, labels, again, nil); c != right {
			t.Errorf("without gradient: %d correct, want %d", c, right)
		}
	})
}

// Logits far apart neither overflow nor lose the loss.
func TestSoftmaxCrossEntropyFarApart(t *testing.T) {
	losses, gx := make([]float64, 2), stale(4)
	SoftmaxCrossEntropy(newPool(t, 1), 2, []float32{3e38, -3e38, 0, 1000}, []int32{0, 0}, losses, gx)
	if losses[0] != 0 || losses[1] != 1000 {
		t.Errorf("losses %v, want 0 and 1000", losses)
	}
	sameBits(t, "gx", gx, []float32{0, 0, -1, 1})
}
