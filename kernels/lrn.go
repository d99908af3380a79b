package kernels

import (
	"fmt"
	"math"

	"convoy/fmath"
)

// LRN is local response normalisation across channels (Krizhevsky, Sutskever and
// Hinton, "ImageNet classification with deep convolutional neural networks",
// 2012) as PyTorch has it: alpha is divided by Size.
type LRN struct {
	Size           int // channels that are taken together
	Alpha, Beta, K float32
}

// Check returns an error that names the first number that makes no sense.
func (l LRN) Check() error {
	switch {
	case l.Size < 1:
		return fmt.Errorf("normalisation over %d channels: must be at least 1", l.Size)
	case !(l.Alpha >= 0 && l.Beta >= 0 && l.K > 0):
		return fmt.Errorf("normalisation with alpha %g, beta %g, k %g: want at least 0, at least 0, above 0", l.Alpha, l.Beta, l.K)
	case l.Alpha > math.MaxFloat32 || l.Beta > 16 || l.K > math.MaxFloat32:
		return fmt.Errorf("normalisation with alpha %g, beta %g, k %g: want finite ones, beta at most 16", l.Alpha, l.Beta, l.K)
	}
	return nil
}

// LRNForward computes for each channel of each pixel
//
//	d[c] = K + Alpha/Size · Σ x[j]² over j = c−Size/2 … c+(Size−1)/2
//	y[c] = x[c] / d[c]^Beta
//
// The sum is an FMA chain in the order of j, zeros outside of the channels
// included, and d one FMA of it. For a Beta of 0.75 the power is √d·√√d; for
// others it is fmath's exponential of Beta times the logarithm, in float64.
func LRNForward(p *Pool, l LRN, pixels, c int, x, y Maps) {
	const op = "LRNForward"
	must(l.Check())
	x.check(op, "x", pixels, c)
	y.check(op, "y", pixels, c)
	p.normalise(lrnJob{l: l, pixels: pixels, c: c, x: x, y: y})
}

// LRNBackward computes from the input x and the gradient gy, with d as in
// LRNForward and powers as there,
//
//	r[j]  = gy[j]·(x[j]/d[j]^Beta) / d[j]
//	gx[c] = gy[c]/d[c]^Beta − 2·Alpha·Beta/Size · x[c] · Σ r[j] over j = c−(Size−1)/2 … c+Size/2
//
// The sum starts at +0 and takes j in order, zeros outside of the channels
// included; the difference is one FMA of the rounded product of 2·Alpha·Beta/Size
// and x[c]. gx may be gy.
func LRNBackward(p *Pool, l LRN, pixels, c int, x, gy, gx Maps) {
	const op = "LRNBackward"
	must(l.Check())
	x.check(op, "x", pixels, c)
	gy.check(op, "gy", pixels, c)
	gx.check(op, "gx", pixels, c)
	p.normalise(lrnJob{l: l, pixels: pixels, c: c, x: x, gy: gy, y: gx, backward: true})
}

// lrnJob is the job of LRN: a task is some pixels.
type lrnJob struct {
	l         LRN
	pixels, c int
	x, gy, y  Maps
	backward  bool
	batch     int
	p         *Pool
	row       int // floats of a row of scratch
}

// normalise sets the scratch out: rows of c floats with room for zeros on both
// sides.
func (p *Pool) normalise(j lrnJob) {
	j.p = p
	j.row = (j.c+15)/16*16 + 2*j.l.Size
	j.batch = max(1, taskFloats/4/max(j.c, 1))
	p.reserve(lrnRows * j.row)
	p.ops.normalise = j
	p.run((j.pixels+j.batch-1)/j.batch, &p.ops.normalise)
	p.ops.normalise = lrnJob{}
}

// lrnRows is how many rows of scratch LRN has: x and r, both between zeros, d, and
// its powers.
const lrnRows = 4

func (j *lrnJob) do(thread, task int) {
	scratch := j.p.space(thread, lrnRows*j.row)
	clear(scratch)
	var rows [lrnRows][]float32
	for i := range rows {
		rows[i] = plane(scratch, i, j.row)
	}
	low := task * j.batch
	for i := low; i < min(low+j.batch, j.pixels); i++ {
		x := plane(j.x.V[i*j.x.Pitch:], 0, j.c)
		padded, d, power := rows[0], rows[2], rows[3]
		copy(padded[j.l.Size:], x)
		j.denominators(padded, d, power)
		if j.backward {
			j.backwardPixel(x, rows[1], d, power, i)
			continue
		}
		for c, v := range x {
			j.y.V[i*j.y.Pitch+c] = v / power[c]
		}
	}
}

// denominators computes d and d^Beta.
func (j *lrnJob) denominators(padded, d, power []float32) {
	l := &j.l
	share := l.Alpha / float32(l.Size)
	for c := range j.c {
		var sum float32
		for _, v := range padded[c+l.Size-l.Size/2:][:l.Size] {
			sum = fma(v, v, sum)
		}
		d[c] = fma(share, sum, l.K)
		power[c] = l.power(d[c])
	}
}

// power is d^Beta.
func (l *LRN) power(d float32) float32 {
	if l.Beta == 0.75 {
		root := sqrt(d)
		return root * sqrt(root)
	}
	return float32(fmath.Exp(float64(l.Beta) * fmath.Log(float64(d))))
}

// sqrt is correctly rounded.
func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }

func (j *lrnJob) backwardPixel(x, r, d, power []float32, i int) {
	l := &j.l
	gy := plane(j.gy.V[i*j.gy.Pitch:], 0, j.c)
	gx := plane(j.y.V[i*j.y.Pitch:], 0, j.c)
	for c, v := range x {
		r[l.Size+c] = float32(gy[c]*(v/power[c])) / d[c]
	}
	factor := -2 * float32(l.Alpha*l.Beta) / float32(l.Size)
	for c, v := range x {
		var sum float32
		for _, v := range r[c+l.Size-(l.Size-1)/2:][:l.Size] {
			sum += v
		}
		gx[c] = fma(float32(factor*v), sum, gy[c]/power[c])
	}
}
