package kernels

import (
	"fmt"

	"convoy/fmath"
)

// SoftmaxCrossEntropy computes, for each example n of logits [N][classes], with
// z the example's logits less their maximum, S = Σ exp(z[j]) and l its label,
//
//	losses[n]  = log(S) − z[l]
//	gx[n][j]   = exp(z[j])/S − (1 if j = l, else 0)
//
// in float64, the sum taken over j in order; gx, the gradient of the example's
// loss (not divided by any number of examples), is then rounded to float32. It
// returns for how many examples the greatest logit, the first of equals, is the
// label's. gx is [N][classes], or nil where it is not wanted; it may be logits.
func SoftmaxCrossEntropy(p *Pool, classes int, logits []float32, labels []int32, losses []float64, gx []float32) (correct int) {
	const op = "SoftmaxCrossEntropy"
	if classes < 1 {
		panic(fmt.Sprintf("kernels: %s: %d classes", op, classes))
	}
	n := examples(op, "logits", len(logits), classes)
	length(op, "labels", len(labels), n)
	length(op, "losses", len(losses), n)
	if gx != nil {
		length(op, "gx", len(gx), len(logits))
	}
	for i, l := range labels {
		if l < 0 || int(l) >= classes {
			panic(fmt.Sprintf("kernels: %s: label %d of example %d is not below %d", op, l, i, classes))
		}
	}
	j := &p.ops.losses
	tasks := (n + lossBatch - 1) / lossBatch
	*j = lossJob{classes, logits, gx, labels, losses, grown(j.correct, tasks)}
	p.run(tasks, j)
	for _, c := range j.correct {
		correct += c
	}
	return correct
}

// lossBatch is how many examples a task of the loss has.
const lossBatch = 64

// lossJob is the job of SoftmaxCrossEntropy.
type lossJob struct {
	classes int
	x, gx   []float32
	labels  []int32
	losses  []float64
	correct []int // of each task
}

func (j *lossJob) do(_, task int) {
	correct := 0
	for i := task * lossBatch; i < min((task+1)*lossBatch, len(j.labels)); i++ {
		var gx []float32
		if j.gx != nil {
			gx = plane(j.gx, i, j.classes)
		}
		loss, best := crossEntropy(plane(j.x, i, j.classes), int(j.labels[i]), gx)
		j.losses[i] = loss
		if best == int(j.labels[i]) {
			correct++
		}
	}
	j.correct[task] = correct
}

// crossEntropy does one example; best is the index of the greatest logit.
func crossEntropy(x []float32, label int, gx []float32) (loss float64, best int) {
	for j, v := range x {
		if v > x[best] {
			best = j
		}
	}
	top, at := float64(x[best]), float64(x[label])
	var sum float64
	for _, v := range x {
		sum += fmath.Exp(float64(v) - top)
	}
	if gx != nil {
		for j, v := range x {
			q := fmath.Exp(float64(v)-top) / sum
			if j == label {
				q--
			}
			gx[j] = float32(q)
		}
	}
	return fmath.Log(sum) - (at - top), best
}

// grown returns a slice of n elements, v where it is long enough.
func grown[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}
