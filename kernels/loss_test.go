package kernels

import (
	"math"
	"slices"
	"testing"
)

func TestSoftmaxCrossEntropy(t *testing.T) {
	z := noise(5)
	const classes, n = 10, 300
	x, labels, right := z.floats(n*classes), make([]int32, n), Hits{}
	for i := range labels {
		labels[i] = int32(i * 7 % classes)
		row := plane(x, i, classes)
		row[3], row[8] = 2, 2 // equal maxima: the first wins
		if labels[i] == 3 {
			right.Top1++
		}
		sorted := append([]float32(nil), row...)
		slices.Sort(sorted)
		if row[labels[i]] >= sorted[classes-5] { // equals of the fifth count
			right.Top5++
		}
	}
	losses, gx := make([]float64, n), stale(n*classes)
	if got := SoftmaxCrossEntropy(newPool(t, 1), classes, x, labels, losses, gx); got != right || right.Top5 == n {
		t.Errorf("%+v, want %+v", got, right)
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
			t.Errorf("%d threads: %+v, want %+v", p.Threads(), c, right)
		}
		sameBits(t, "gx in place", got, gx)
		for i := range losses {
			if math.Float64bits(again[i]) != math.Float64bits(losses[i]) {
				t.Fatalf("%d threads: loss %d is %v, want %v", p.Threads(), i, again[i], losses[i])
			}
		}
		if c := SoftmaxCrossEntropy(p, classes, x, labels, again, nil); c != right {
			t.Errorf("without gradient: %+v, want %+v", c, right)
		}
	})
}

// A label that shares its place with others, in each place where that matters.
func TestTop5Ties(t *testing.T) {
	p := newPool(t, 1)
	for label, want := range map[int32]Hits{0: {}, 1: {}, 2: {0, 1}, 4: {0, 1}, 6: {0, 1}, 7: {1, 1}, 8: {0, 1}} {
		x := []float32{1, 2, 3, 3, 3, 0, 3, 9, 4}
		if got := SoftmaxCrossEntropy(p, 9, x, []int32{label}, make([]float64, 1), nil); got != want {
			t.Errorf("label %d: %+v, want %+v", label, got, want)
		}
	}
	var least Hits
	least.count([]float32{1, 2, 3, 4, 5, 6}, 4, true)
	least.count([]float32{1, 2, 3, 4, 5, 6}, 5, true)
	if least != (Hits{0, 1}) {
		t.Errorf("where the least is the best: %+v", least)
	}
	if got := SoftmaxCrossEntropy(p, 5, []float32{5, 4, 3, 2, 1}, []int32{4}, make([]float64, 1), nil); got != (Hits{0, 1}) {
		t.Errorf("of 5 classes the last: %+v", got)
	}
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
