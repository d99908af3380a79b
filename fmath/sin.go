package fmath

import "math"

// π/2 in parts: k times each of the first three is exact for |k| < 2²⁰.
const (
	pio2      = math.Pi / 2
	pio2Hi    = 0x1.921fb544p+00
	pio2Mid   = 0x1.0b4611a6p-34
	pio2Low   = 0x1.3198a2ep-69
	pio2Tail  = pio2 - pio2Hi - pio2Mid - pio2Low
	twoOverPi = 1 / pio2

	// reducible bounds the arguments that are reduced accurately.
	reducible = 1 << 20
)

// Sin returns the sine of x radians. Up to |x| = 2²⁰ it is accurate; beyond, it
// is the sine of a number within an ulp of x. Sin(±0) = ±0, Sin(±Inf) =
// Sin(NaN) = NaN.
func Sin(x float64) float64 {
	if x == 0 {
		return x
	}
	if x != x || math.IsInf(x, 0) {
		return math.NaN()
	}
	quadrant, r, c := reduce(x)
	return sinus(quadrant, r, c)
}

// Cos returns the cosine of x radians, accurate as Sin is. Cos(±Inf) =
// Cos(NaN) = NaN.
func Cos(x float64) float64 {
	if x != x || math.IsInf(x, 0) {
		return math.NaN()
	}
	quadrant, r, c := reduce(x)
	return sinus(quadrant+1, r, c)
}

// sinus returns sin(quadrant·π/2 + r + c).
func sinus(quadrant int, r, c float64) float64 {
	var v float64
	if quadrant&1 == 0 {
		v = sinPoly(r, c)
	} else {
		v = cosPoly(r, c)
	}
	if quadrant&2 != 0 {
		return -v
	}
	return v
}

// reduce returns the quadrant (modulo 4) and r+c = x − quadrant·π/2 with
// |r| ≤ π/4, c being what rounding r lost.
func reduce(x float64) (quadrant int, r, c float64) {
	if math.Abs(x) > reducible {
		x = math.Mod(x, 2*math.Pi) // exact; 2π's own rounding is half an ulp
	}
	kf := nearest(float64(x * twoOverPi))
	a, al := addExact(x, -float64(kf*pio2Hi))
	b, bl := addExact(a, -float64(kf*pio2Mid))
	low := (al + bl) - float64(kf*pio2Low) - float64(kf*pio2Tail)
	r, c = addExact(b, low)
	return int(kf) & 3, r, c
}

// sinPoly returns sin(r+c) for |r| ≤ π/4.
func sinPoly(r, c float64) float64 {
	const (
		s3  = -1.0 / 6
		s5  = -s3 / (4 * 5)
		s7  = -s5 / (6 * 7)
		s9  = -s7 / (8 * 9)
		s11 = -s9 / (10 * 11)
		s13 = -s11 / (12 * 13)
		s15 = -s13 / (14 * 15)
		s17 = -s15 / (16 * 17)
	)
	z := float64(r * r)
	p := s15 + float64(z*s17)
	p = s13 + float64(z*p)
	p = s11 + float64(z*p)
	p = s9 + float64(z*p)
	p = s7 + float64(z*p)
	p = s5 + float64(z*p)
	p = s3 + float64(z*p)
	// sin(r+c) ≈ sin r + c·(1 − r²/2)
	return r + (float64(float64(r*z)*p) + (c - float64(0.5*z*c)))
}

// cosPoly returns cos(r+c) for |r| ≤ π/4.
func cosPoly(r, c float64) float64 {
	const (
		c4  = 1.0 / 24
		c6  = -c4 / (5 * 6)
		c8  = -c6 / (7 * 8)
		c10 = -c8 / (9 * 10)
		c12 = -c10 / (11 * 12)
		c14 = -c12 / (13 * 14)
		c16 = -c14 / (15 * 16)
	)
	z := float64(r * r)
	p := c14 + float64(z*c16)
	p = c12 + float64(z*p)
	p = c10 + float64(z*p)
	p = c8 + float64(z*p)
	p = c6 + float64(z*p)
	p = c4 + float64(z*p)
	// 1 − z/2 first, then what its rounding lost; cos(r+c) ≈ cos r − c·r.
	half := float64(0.5 * z)
	w := 1 - half
	return w + (((1 - w) - half) + (float64(float64(z*z)*p) - float64(r*c)))
}
