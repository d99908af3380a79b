package kernels

import (
	"fmt"
	"unsafe"

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
	p.reserve(2 * classes)
	j := &p.ops.losses
	batch := max(1, lossLogits/classes)
	tasks := (n + batch - 1) / batch
	*j = lossJob{p, classes, batch, logits, gx, labels, losses, grown(j.correct, tasks)}
	p.run(tasks, j)
	for _, c := range j.correct {
		correct += c
	}
	*j = lossJob{correct: j.correct}
	return correct
}

// lossLogits is about how many logits a task of the loss has.
const lossLogits = 512

// lossJob is the job of SoftmaxCrossEntropy.
type lossJob struct {
	p       *Pool
	classes int
	batch   int // examples of a task
	x, gx   []float32
	labels  []int32
	losses  []float64
	correct []int // of each task
}

func (j *lossJob) do(thread, task int) {
	exps := unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(j.p.space(thread, 2*j.classes)))), j.classes)
	correct := 0
	for i := task * j.batch; i < min((task+1)*j.batch, len(j.labels)); i++ {
		x, label := plane(j.x, i, j.classes), int(j.labels[i])
		loss, sum, best := crossEntropy(x, label, exps)
		j.losses[i] = loss
		if best == label {
			correct++
		}
		if j.gx != nil {
			lossGradient(exps, sum, label, plane(j.gx, i, j.classes))
		}
	}
	j.correct[task] = correct
}

// crossEntropy does one example; exps become exp(z), sum their sum, and best is
// the index of the greatest logit.
func crossEntropy(x []float32, label int, exps []float64) (loss, sum float64, best int) {
	for j, v := range x {
		if v > x[best] {
			best = j
		}
	}
	top, at := float64(x[best]), float64(x[label])
	for j, v := range x {
		e := fmath.Exp(float64(v) - top)
		exps[j] = e
		sum += e
	}
	return fmath.Log(sum) - (at - top), sum, best
}

func lossGradient(exps []float64, sum float64, label int, gx []float32) {
	for j, e := range exps[:len(gx)] {
		gx[j] = float32(e / sum)
	}
	gx[label] = float32(exps[label]/sum - 1)
}

// grown returns a slice of n elements, v where it is long enough.
func grown[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}
