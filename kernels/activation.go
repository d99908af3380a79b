package kernels

import (
	"math"

	"convoy/fmath"
)

// ReLUForward computes y[i] = max(x[i], 0); a NaN gives NaN. y may be x.
func ReLUForward(p *Pool, x, y []float32) {
	length("ReLUForward", "y", len(y), len(x))
	p.elements(elements{x: x, dst: y, each: func(j *elements, low, high int) {
		y := j.dst[low:high]
		for i, v := range j.x[low:high] {
			y[i] = max(v, 0)
		}
	}})
}

// ReLUBackward computes gx[i] = gy[i] where the output y[i] > 0, else 0. gx may
// be gy.
func ReLUBackward(p *Pool, y, gy, gx []float32) {
	length("ReLUBackward", "gy", len(gy), len(y))
	length("ReLUBackward", "gx", len(gx), len(y))
	p.elements(elements{x: y, g: gy, dst: gx, each: func(j *elements, low, high int) {
		gy, gx := j.g[low:high], j.dst[low:high]
		for i, v := range j.x[low:high] {
			// A branch here would be mispredicted half of the time. The bits of a
			// positive number are those of a positive integer.
			positive := uint32(-int64(int32(math.Float32bits(v))) >> 63)
			gx[i] = math.Float32frombits(math.Float32bits(gy[i]) & positive)
		}
	}})
}

// SigmoidForward computes y[i] = 1/(1+exp(−x[i])). y may be x.
func SigmoidForward(p *Pool, x, y []float32) {
	length("SigmoidForward", "y", len(y), len(x))
	p.elements(elements{x: x, dst: y, each: func(j *elements, low, high int) {
		y := j.dst[low:high]
		for i, v := range j.x[low:high] {
			y[i] = fmath.Sigmoid32(v)
		}
	}})
}

// SigmoidBackward computes gx[i] = gy[i] · (y[i]·(1−y[i])) from the output y. gx
// may be gy.
func SigmoidBackward(p *Pool, y, gy, gx []float32) {
	length("SigmoidBackward", "gy", len(gy), len(y))
	length("SigmoidBackward", "gx", len(gx), len(y))
	p.elements(elements{x: y, g: gy, dst: gx, each: func(j *elements, low, high int) {
		gy, gx := j.g[low:high], j.dst[low:high]
		for i, v := range j.x[low:high] {
			gx[i] = gy[i] * float32(v*(1-v))
		}
	}})
}

// TanhForward computes y[i] = tanh(x[i]). y may be x.
func TanhForward(p *Pool, x, y []float32) {
	length("TanhForward", "y", len(y), len(x))
	p.elements(elements{x: x, dst: y, each: func(j *elements, low, high int) {
		y := j.dst[low:high]
		for i, v := range j.x[low:high] {
			y[i] = fmath.Tanh32(v)
		}
	}})
}

// TanhBackward computes gx[i] = gy[i] · (1−y[i]²) from the output y, as
// (1−y)·(1+y), which loses nothing where y is close to 1. gx may be gy.
func TanhBackward(p *Pool, y, gy, gx []float32) {
	length("TanhBackward", "gy", len(gy), len(y))
	length("TanhBackward", "gx", len(gx), len(y))
	p.elements(elements{x: y, g: gy, dst: gx, each: func(j *elements, low, high int) {
		gy, gx := j.g[low:high], j.dst[low:high]
		for i, v := range j.x[low:high] {
			gx[i] = gy[i] * float32((1-v)*(1+v))
		}
	}})
}

// elements is the job of the elementwise operations: a task is a segment.
type elements struct {
	x, g, dst []float32
	each      func(j *elements, low, high int) // does elements low … high−1
}

func (p *Pool) elements(j elements) {
	p.ops.elements = j
	p.run((len(j.x)+taskFloats-1)/taskFloats, &p.ops.elements)
}

func (j *elements) do(_, task int) {
	low := task * taskFloats
	j.each(j, low, min(low+taskFloats, len(j.x)))
}
