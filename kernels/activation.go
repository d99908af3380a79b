package kernels

import "convoy/fmath"

// ReLUForward computes y[i] = x[i] if x[i] > 0, else 0; a NaN gives NaN. y may
// be x.
func ReLUForward(p *Pool, x, y []float32) {
	length("ReLUForward", "y", len(y), len(x))
	for i, v := range x {
		if v <= 0 {
			v = 0
		}
		y[i] = v
	}
}

// ReLUBackward computes gx[i] = gy[i] where the output y[i] > 0, else 0. gx may
// be gy.
func ReLUBackward(p *Pool, y, gy, gx []float32) {
	length("ReLUBackward", "gy", len(gy), len(y))
	length("ReLUBackward", "gx", len(gx), len(y))
	for i, v := range y {
		g := gy[i]
		if v <= 0 {
			g = 0
		}
		gx[i] = g
	}
}

// SigmoidForward computes y[i] = 1/(1+exp(−x[i])). y may be x.
func SigmoidForward(p *Pool, x, y []float32) {
	length("SigmoidForward", "y", len(y), len(x))
	for i, v := range x {
		y[i] = fmath.Sigmoid32(v)
	}
}

// SigmoidBackward computes gx[i] = gy[i] · (y[i]·(1−y[i])) from the output y. gx
// may be gy.
func SigmoidBackward(p *Pool, y, gy, gx []float32) {
	length("SigmoidBackward", "gy", len(gy), len(y))
	length("SigmoidBackward", "gx", len(gx), len(y))
	for i, v := range y {
		gx[i] = gy[i] * float32(v*(1-v))
	}
}
