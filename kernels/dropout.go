package kernels

import (
	"fmt"
	"unsafe"
)

// Dropout computes, forward from x and backward from gy,
//
//	y[i] = x[i] · 1/(1−rate) where keep[i] ≠ 0, else 0
//
// (Srivastava and others, "Dropout: a simple way to prevent neural networks from
// overfitting", 2014, with the scaling in training). The mask keep is the
// caller's, so that it depends on the example alone. y may be x.
func Dropout(p *Pool, rate float32, keep []uint8, x, y []float32) {
	const op = "Dropout"
	if !(rate >= 0 && rate < 1) {
		panic(fmt.Sprintf("kernels: %s: a rate of %g, want one from 0 to below 1", op, rate))
	}
	length(op, "keep", len(keep), len(x))
	length(op, "y", len(y), len(x))
	j := &p.ops.dropout
	*j = dropoutJob{scale: 1 / (1 - rate), keep: keep, x: x, y: y, args: rowsFor(p, j.args)}
	p.run((len(x)+taskFloats-1)/taskFloats, j)
	*j = dropoutJob{args: j.args}
}

type dropoutJob struct {
	scale float32
	keep  []uint8
	x, y  []float32
	args  []rows
}

func (j *dropoutJob) do(thread, task int) {
	low := task * taskFloats
	r := &j.args[thread]
	*r = rows{
		x: unsafe.Pointer(&j.x[low]), g: unsafe.Pointer(&j.keep[low]), y: unsafe.Pointer(&j.y[low]),
		rows: 1, n: uintptr(min(taskFloats, len(j.x)-low)),
	}
	r.s[0] = j.scale
	r.apply(opDropout, 1)
}

func genericDropout(r *rows) {
	for i := range int(r.n) {
		var v float32
		if *(*uint8)(unsafe.Add(r.g, i)) != 0 {
			v = *element(r.x, 0, i) * r.s[0]
		}
		*element(r.y, 0, i) = v
	}
}
