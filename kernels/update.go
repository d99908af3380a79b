package kernels

import (
	"sync"
	"unsafe"
)

// SGD is one step of stochastic gradient descent as package optim defines it.
type SGD struct {
	LR, Momentum, Decay float32
	Nesterov            bool
	Scale               float32 // of the gradient; 1 leaves it as it is
}

// Update takes params and velocity one step further: with g = Scale·grad + Decay·p,
//
//	v = Momentum·v + g
//	p = p − LR·v                    or, with Nesterov, p − LR·(g + Momentum·v)
//
// and without a momentum p = p − LR·g, velocity being nil. Every product is
// rounded before it is added, unlike those of the other operations, and a Decay
// of 0 adds nothing, not even a zero. The lengths are one; a window of the vectors gets the
// bits that it gets in the whole. p is nil for the caller's goroutine alone.
func Update(p *Pool, s SGD, params, velocity, grad []float32) {
	const op = "Update"
	length(op, "grad", len(grad), len(params))
	if s.Momentum != 0 {
		length(op, "velocity", len(velocity), len(params))
	}
	j := updateJob{s: s, params: params, velocity: velocity, grad: grad}
	tasks := (len(params) + taskFloats - 1) / taskFloats
	if p == nil {
		r := freeRows.Get().(*rows)
		for i := range tasks {
			j.task(r, i)
		}
		freeRows.Put(r)
		return
	}
	j.args = rowsFor(p, p.ops.update.args)
	p.ops.update = j
	p.run(tasks, &p.ops.update)
	p.ops.update = updateJob{args: j.args}
}

// Divide computes y[i] = x[i]/n on the caller's goroutine, a true division; y may
// be x.
func Divide(x, y []float32, n float32) {
	length("Divide", "y", len(y), len(x))
	if len(x) == 0 {
		return
	}
	r := freeRows.Get().(*rows)
	for low := 0; low < len(x); low += taskFloats {
		*r = rows{
			x: unsafe.Pointer(&x[low]), y: unsafe.Pointer(&y[low]),
			rows: 1, n: uintptr(min(taskFloats, len(x)-low)),
		}
		r.s[0] = n
		r.apply(opDivide, 4)
	}
	freeRows.Put(r)
}

func genericDivide(r *rows) {
	for i := range int(r.n) {
		*element(r.y, 0, i) = *element(r.x, 0, i) / r.s[0]
	}
}

// freeRows are arguments of operations without a pool, which may run at the same
// time.
var freeRows = sync.Pool{New: func() any { return new(rows) }}

type updateJob struct {
	s                      SGD
	params, velocity, grad []float32
	args                   []rows
}

func (j *updateJob) do(thread, task int) { j.task(&j.args[thread], task) }

func (j *updateJob) task(r *rows, task int) {
	low := task * taskFloats
	high := min(low+taskFloats, len(j.params))
	j.s.update(r, j.params[low:high], j.velocity, j.grad[low:high], low)
}

// update does a window that begins at low of velocity.
func (s *SGD) update(r *rows, params, velocity, grad []float32, low int) {
	*r = rows{
		g: unsafe.Pointer(&grad[0]), y: unsafe.Pointer(&params[0]),
		rows: 1, n: uintptr(len(params)),
	}
	r.s = [4]float32{s.LR, s.Decay, s.Momentum, s.Scale}
	op := opUpdate
	r.x = r.y // not used
	if s.Momentum != 0 {
		r.x = unsafe.Pointer(&velocity[low])
		op = opUpdateMomentum
		if s.Nesterov {
			op = opUpdateNesterov
		}
	}
	if s.Decay != 0 {
		op++
	}
	r.apply(op, 4)
}

func genericUpdate(r *rows, momentum, decay, nesterov bool) {
	lr, d, mu, scale := r.s[0], r.s[1], r.s[2], r.s[3]
	for i := range int(r.n) {
		p, v := element(r.y, 0, i), float32(scale**element(r.g, 0, i))
		if decay {
			v += float32(d * *p)
		}
		if momentum {
			g, velocity := v, element(r.x, 0, i)
			v = float32(mu**velocity) + g
			*velocity = v
			if nesterov {
				v = g + float32(mu*v)
			}
		}
		*p -= float32(lr * v)
	}
}
