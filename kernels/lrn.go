package kernels

import (
	"fmt"
	"math"
	"unsafe"

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
	args      []channels
}

func (p *Pool) normalise(j lrnJob) {
	if j.c < 1 {
		panic("kernels: normalisation of no channels")
	}
	j.p, j.args = p, p.ops.normalise.args
	if len(j.args) < p.threads {
		j.args = make([]channels, p.threads)
	}
	j.batch = max(1, taskFloats/2/j.c)
	p.reserve(lrnRows * j.row())
	p.ops.normalise = j
	p.run((j.pixels+j.batch-1)/j.batch, &p.ops.normalise)
	p.ops.normalise = lrnJob{args: j.args}
}

// whole is the number of channels in whole vectors.
func (j *lrnJob) whole() int { return (j.c + vectorGroup - 1) / vectorGroup * vectorGroup }

// row is how many floats a row of scratch has: the channels between zeros.
func (j *lrnJob) row() int { return j.whole() + (2*j.l.Size+vectorGroup-1)/vectorGroup*vectorGroup }

// lrnRows is how many rows of scratch LRN has: x, gy, the result, r and gy/d^Beta.
const lrnRows = 5

func (j *lrnJob) do(thread, task int) {
	scratch := j.p.space(thread, lrnRows*j.row())
	clear(scratch)
	var rows [lrnRows][]float32
	for i := range rows {
		rows[i] = plane(scratch, i, j.row())
	}
	a := &j.args[thread]
	low := task * j.batch
	for i := low; i < min(low+j.batch, j.pixels); i++ {
		j.pixel(a, &rows, i)
	}
}

// pixel does pixel i. The loops work on whole vectors: of channels that do not
// fill them on copies that zeros follow.
func (j *lrnJob) pixel(a *channels, rows *[lrnRows][]float32, i int) {
	size := j.l.Size
	copy(rows[0][size:], j.x.V[i*j.x.Pitch:][:j.c])
	*a = channels{
		x: unsafe.Pointer(&rows[0][size]), xTaps: unsafe.Pointer(&rows[0][size-size/2]),
		r: unsafe.Pointer(&rows[3][size]), rTaps: unsafe.Pointer(&rows[3][size-(size-1)/2]),
		q: unsafe.Pointer(&rows[4][0]),
		n: j.whole(), taps: size,
		share: j.l.Alpha / float32(size), k: j.l.K, factor: -2 * float32(j.l.Alpha*j.l.Beta) / float32(size),
		l: &j.l,
	}
	y := j.y.V[i*j.y.Pitch:][:j.c]
	a.y = unsafe.Pointer(&y[0])
	if j.c != j.whole() {
		a.y = unsafe.Pointer(&rows[2][0])
	}
	loops := &active.lrn
	if j.l.Beta != 0.75 {
		loops = &generic.lrn
	}
	if j.backward {
		gy := j.gy.V[i*j.gy.Pitch:][:j.c]
		if j.c != j.whole() {
			copy(rows[1], gy)
			gy = rows[1]
		}
		a.gy = unsafe.Pointer(&gy[0])
		loops[lrnGradients](a)
		loops[lrnBackward](a)
	} else {
		loops[lrnForward](a)
	}
	if j.c != j.whole() {
		copy(y, rows[2])
	}
}

// channels is the argument of an inner loop of LRN, which does n channels of one
// pixel, whole vectors. The layout is known to internal/gen.
type channels struct {
	x, xTaps         unsafe.Pointer // channel 0, and what is first in its sum
	gy, y            unsafe.Pointer
	r, rTaps         unsafe.Pointer
	q                unsafe.Pointer // gy/d^Beta
	n, taps          int
	share, k, factor float32 // Alpha/Size, K, −2·Alpha·Beta/Size
	l                *LRN    // for the generic loops
}

// The loops of LRN.
const (
	lrnForward   = iota // y
	lrnGradients        // r and q
	lrnBackward         // y, which is gx
	lrnLoops
)

// lrnVectors are the inner loops of LRN with a Beta of 0.75.
type lrnVectors struct {
	lrn [lrnLoops]func(a *channels)
}

var genericLRN = lrnVectors{[lrnLoops]func(a *channels){
	lrnForward: func(a *channels) {
		for c := range a.n {
			_, power := a.denominator(c)
			*element(a.y, 0, c) = *element(a.x, 0, c) / power
		}
	},
	lrnGradients: func(a *channels) {
		for c := range a.n {
			d, power := a.denominator(c)
			gy := *element(a.gy, 0, c)
			*element(a.r, 0, c) = float32(gy*(*element(a.x, 0, c)/power)) / d
			*element(a.q, 0, c) = gy / power
		}
	},
	lrnBackward: func(a *channels) {
		for c := range a.n {
			var sum float32
			for i := range a.taps {
				sum += *element(a.rTaps, 0, c+i)
			}
			*element(a.y, 0, c) = fma(float32(a.factor**element(a.x, 0, c)), sum, *element(a.q, 0, c))
		}
	},
}}

// denominator returns d[c] and d[c]^Beta.
func (a *channels) denominator(c int) (d, power float32) {
	var sum float32
	for i := range a.taps {
		v := *element(a.xTaps, 0, c+i)
		sum = fma(v, v, sum)
	}
	d = fma(a.share, sum, a.k)
	return d, a.l.power(d)
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
