package kernels

import "unsafe"

// A transform is one call of a Winograd transform: for each of groups·16
// channels, a square of values is transformed in two passes, each column first,
// then each row, by one of the sequences below:
//
//	v[i][j]   = src at i·srcRow + j·srcColumn
//	column j: w[·][j] = sequence(v[·][j])
//	row i:    u[i][·] = sequence(w[i][·])
//	dst at i·dstRow + j·dstColumn = max(low, init at i·initRow + j·initColumn + u[i][j])
//
// where init and low are left out but in outputs of 2 and 4 (A2, A4), and init
// where it is nil. Strides are in bytes, channels are contiguous.
//
// The layout of the struct is known to internal/gen.
type transform struct {
	src                 unsafe.Pointer
	srcRow, srcColumn   uintptr
	dst                 unsafe.Pointer
	dstRow, dstColumn   uintptr
	init                unsafe.Pointer
	initRow, initColumn uintptr
	temp                unsafe.Pointer // transformTemp floats
	constants           *winogradConstants
	groups              uintptr // at least 1
	low                 float32
	_                   float32
}

// transformTemp is how many floats a transform needs for what its first pass
// leaves.
const transformTemp = 36 * 16

// The sequences, by what they make of what. The six values in between belong to
// the points 0, a, −a, b, −b and ∞.
const (
	inputs6  = iota // B: six inputs to six points
	outputs2        // A: six points to 2 … 5 outputs
	outputs3
	outputs4
	outputs5
	kernel2 // G: 2 … 5 taps to six points
	kernel3
	kernel4
	kernel5
	transformForms
)

// winogradConstants are what the sequences multiply by; a = 5/8 and b = 3/2, of
// whose powers all but the inverses are exact. Lavin and Gray's points 0, ±1, ±2
// ("Fast Algorithms for Convolutional Neural Networks", 2016) have twice the
// rounding error; better points are Barabasz et al.'s subject ("Error Analysis
// and Improving the Accuracy of Winograd Convolution", 2020).
type winogradConstants struct {
	// of B
	ab2, sum, minusA2, minusB2 float32 // a²b², −(a²+b²), −a², −b²
	// of A
	a, b, a2, b2, a3, b3, a4, b4 float32
	// of G
	g0     float32    // 1 / a²b²
	ga, gb [5]float32 // aⁱ / 2a²(a²−b²), bⁱ / 2b²(b²−a²)
}

const pointA, pointB = 0.625, 1.5

var winogradTable = winogradConstants{
	ab2: pointA * pointA * pointB * pointB, sum: -(pointA*pointA + pointB*pointB),
	minusA2: -pointA * pointA, minusB2: -pointB * pointB,
	a: pointA, a2: pointA * pointA, a3: pointA * pointA * pointA, a4: pointA * pointA * pointA * pointA,
	b: pointB, b2: pointB * pointB, b3: pointB * pointB * pointB, b4: pointB * pointB * pointB * pointB,
	g0: 1 / (pointA * pointA * pointB * pointB),
	ga: [5]float32{scaleA, scaleA * pointA, scaleA * pointA * pointA, scaleA * pointA * pointA * pointA, scaleA * pointA * pointA * pointA * pointA},
	gb: [5]float32{scaleB, scaleB * pointB, scaleB * pointB * pointB, scaleB * pointB * pointB * pointB, scaleB * pointB * pointB * pointB * pointB},
}

const (
	scaleA = 1 / (2 * pointA * pointA * (pointA*pointA - pointB*pointB))
	scaleB = 1 / (2 * pointB * pointB * (pointB*pointB - pointA*pointA))
)

// A sequence is the one-dimensional transform; out may not be in.
type sequence struct {
	in, out int
	kind    int // transformsInput, …
}

var sequences = [transformForms]sequence{
	inputs6:  {6, 6, transformsInput},
	outputs2: {6, 2, transformsOutput},
	outputs3: {6, 3, transformsOutput},
	outputs4: {6, 4, transformsOutput},
	outputs5: {6, 5, transformsOutput},
	kernel2:  {2, 6, transformsKernel},
	kernel3:  {3, 6, transformsKernel},
	kernel4:  {4, 6, transformsKernel},
	kernel5:  {5, 6, transformsKernel},
}

const (
	transformsInput = iota
	transformsOutput
	transformsKernel
)

func (s *sequence) apply(in, out *[6]float32) {
	switch s.kind {
	case transformsInput:
		inputSequence(in, out)
	case transformsOutput:
		outputSequence(in, out, s.out)
	case transformsKernel:
		kernelSequence(in, out, s.in)
	}
}

// inputSequence is B. Of a point's two factors, one is shared with its negative:
// e is the even powers, o the odd ones.
func inputSequence(d, out *[6]float32) {
	c := &winogradTable
	out[0] = fma(d[0], c.ab2, fma(d[2], c.sum, d[4]))
	out[5] = fma(d[1], c.ab2, fma(d[3], c.sum, d[5]))
	e, o := fma(d[2], c.minusB2, d[4]), float32(fma(d[1], c.minusB2, d[3])*c.a)
	out[1], out[2] = e+o, e-o
	e, o = fma(d[2], c.minusA2, d[4]), float32(fma(d[1], c.minusA2, d[3])*c.b)
	out[3], out[4] = e+o, e-o
}

// outputSequence is A for n outputs, 2 to 5.
func outputSequence(d, out *[6]float32, n int) {
	c := &winogradTable
	ea, oa, eb, ob := d[1]+d[2], d[1]-d[2], d[3]+d[4], d[3]-d[4]
	out[0] = (d[0] + ea) + eb
	out[1] = fma(ob, c.b, float32(oa*c.a))
	out[2] = fma(eb, c.b2, float32(ea*c.a2))
	out[3] = fma(ob, c.b3, float32(oa*c.a3))
	out[4] = fma(eb, c.b4, float32(ea*c.a4))
	out[n-1] += d[5]
}

// kernelSequence is G for n taps, 2 to 5.
func kernelSequence(d, out *[6]float32, n int) {
	out[0] = d[0] * winogradTable.g0
	for p, g := range [2]*[5]float32{&winogradTable.ga, &winogradTable.gb} {
		e, o := float32(d[0]*g[0]), float32(d[1]*g[1])
		for i := 2; i < n; i++ {
			if i%2 == 0 {
				e = fma(d[i], g[i], e)
			} else {
				o = fma(d[i], g[i], o)
			}
		}
		out[2*p+1], out[2*p+2] = e+o, e-o
	}
	out[5] = d[n-1]
}

// genericTransforms are the transforms by form.
var genericTransforms = func() (f [transformForms]func(t *transform)) {
	for form := range f {
		f[form] = func(t *transform) {
			for lane := range int(16 * t.groups) {
				genericTransform(t, form, lane)
			}
		}
	}
	return f
}()

func genericTransform(t *transform, form, lane int) {
	s := &sequences[form]
	var v, w [6][6]float32 // w by columns
	var out [6]float32
	for j := range s.in {
		for i := range s.in {
			v[j][i] = *element(t.src, uintptr(i)*t.srcRow+uintptr(j)*t.srcColumn, lane)
		}
		s.apply(&v[j], &w[j])
	}
	for i := range s.out {
		var row [6]float32
		for j := range s.in {
			row[j] = w[j][i]
		}
		s.apply(&row, &out)
		for j, u := range out[:s.out] {
			if form == outputs2 || form == outputs4 {
				if t.init != nil {
					u = *element(t.init, uintptr(i)*t.initRow+uintptr(j)*t.initColumn, lane) + u
				}
				if t.low > u {
					u = t.low
				}
			}
			*element(t.dst, uintptr(i)*t.dstRow+uintptr(j)*t.dstColumn, lane) = u
		}
	}
}
