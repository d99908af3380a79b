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
// loss (not divided by any number of examples), is then rounded to float32. gx is
// [N][classes], or nil where it is not wanted; it may be logits.
func SoftmaxCrossEntropy(p *Pool, classes int, logits []float32, labels []int32, losses []float64, gx []float32) (hits Hits) {
	return p.losses("SoftmaxCrossEntropy", lossJob{f: crossEntropy}, classes, logits, labels, losses, gx)
}

// exampleLoss is the loss of one example with the outputs x. Where gx is not nil
// it becomes the loss's gradient; it may be x. scratch is as long as x.
type exampleLoss func(x []float32, label int, scratch []float64, gx []float32) (loss float64)

// losses runs j, which has f and least, on examples; the answer is the first of
// the greatest outputs, or of the least.
func (p *Pool) losses(op string, j lossJob, classes int, x []float32, labels []int32, losses []float64, gx []float32) (hits Hits) {
	if classes < 1 {
		panic(fmt.Sprintf("kernels: %s: %d classes", op, classes))
	}
	n := examples(op, "outputs", len(x), classes)
	length(op, "labels", len(labels), n)
	length(op, "losses", len(losses), n)
	if gx != nil {
		length(op, "gx", len(gx), len(x))
	}
	for i, l := range labels {
		if l < 0 || int(l) >= classes {
			panic(fmt.Sprintf("kernels: %s: label %d of example %d is not below %d", op, l, i, classes))
		}
	}
	p.reserve(2 * classes)
	j.p, j.classes, j.batch = p, classes, max(1, lossOutputs/classes)
	j.x, j.gx, j.labels, j.losses = x, gx, labels, losses
	tasks := (n + j.batch - 1) / j.batch
	j.hits = grown(p.ops.losses.hits, tasks)
	p.ops.losses = j
	p.run(tasks, &p.ops.losses)
	for _, h := range j.hits {
		hits.Add(h)
	}
	p.ops.losses = lossJob{hits: j.hits}
	return hits
}

// lossOutputs is about how many outputs a task of a loss has.
const lossOutputs = 512

// lossJob is the job of the losses.
type lossJob struct {
	f     exampleLoss
	least bool // the least output is the answer

	p       *Pool
	classes int
	batch   int // examples of a task
	x, gx   []float32
	labels  []int32
	losses  []float64
	hits    []Hits // of each task
}

func (j *lossJob) do(thread, task int) {
	scratch := doubles(j.p.space(thread, 2*j.classes))
	var hits Hits
	for i := task * j.batch; i < min((task+1)*j.batch, len(j.labels)); i++ {
		x, label := plane(j.x, i, j.classes), int(j.labels[i])
		hits.count(x, label, j.least)
		var gx []float32
		if j.gx != nil {
			gx = plane(j.gx, i, j.classes)
		}
		j.losses[i] = j.f(x, label, scratch, gx)
	}
	j.hits[task] = hits
}

func crossEntropy(x []float32, label int, exps []float64, gx []float32) float64 {
	greatest := x[0]
	for _, v := range x {
		if v > greatest {
			greatest = v
		}
	}
	top, at, sum := float64(greatest), float64(x[label]), 0.0
	for j, v := range x {
		e := fmath.Exp(float64(v) - top)
		exps[j] = e
		sum += e
	}
	if gx != nil {
		for j, e := range exps[:len(gx)] {
			gx[j] = float32(e / sum)
		}
		gx[label] = float32(exps[label]/sum - 1)
	}
	return fmath.Log(sum) - (at - top)
}

// grown returns a slice of n elements, v where it is long enough.
func grown[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}
