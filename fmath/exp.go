// Package fmath is Convoy's elementary functions: the same bits on every
// machine, which Go's math does not give (math.Exp differs between amd64 with
// and without FMA, and arm64).
//
// What makes the bits the same is plain: only +, −, ×, ÷ and comparisons of
// float64, which IEEE 754 defines exactly, in an order fixed by the source. Go
// may fuse a product into a sum, and does so on arm64, unless the product is
// converted explicitly; so every product that enters a sum here is written
// float64(a*b).
//
// The methods are the classical ones (Cody and Waite, "Software Manual for the
// Elementary Functions", 1980; the arrangement of the roundings follows fdlibm,
// Sun Microsystems, 1993): reduce the argument with a constant in two or three
// parts, evaluate a Taylor polynomial where it converges fast, put the parts
// together from small to large. The float64 functions are within 1 ulp or so
// (tests hold them to 2), the float32 ones within 0.51 ulp of float32.
package fmath

import "math"

const (
	log2e = 1 / ln2
	ln2   = math.Ln2

	// ln2Hi has 21 trailing zero bits, so k·ln2Hi is exact for |k| < 2²¹;
	// ln2Lo is the rest. The constants are exact until they are used.
	ln2Hi = 0x1.62e42feep-01
	ln2Lo = ln2 - ln2Hi

	// roundMagic added to and taken from a float64 below 2⁵¹ rounds it to the
	// nearest integer, ties to even.
	roundMagic = 3 << 51
)

// Exp returns eˣ. It overflows to +Inf above 709.78, underflows gradually to 0
// below −745.13; Exp(NaN) = NaN.
func Exp(x float64) float64 { return expSum(x, 0) }

// expSum returns e^(x+low) for |low| far below |x|.
func expSum(x, low float64) float64 {
	switch {
	case x != x:
		return x
	case x > 709.8:
		return math.Inf(1)
	case x < -745.2:
		return 0
	}
	kf := nearest(float64(x * log2e))
	// The first product is exact and the difference nearly so; r+c is the
	// reduced argument.
	hi := x - float64(kf*ln2Hi)
	lo := float64(kf*ln2Lo) - low
	r := hi - lo
	c := (hi - r) - lo
	p := 1 + (r + (c + float64(float64(r*r)*expTail(r))))
	// Two factors, so that neither overflows and a subnormal is rounded once.
	k := int(kf)
	return float64(float64(p*pow2(k>>1)) * pow2(k-k>>1))
}

// expTail returns (eʳ − 1 − r)/r² for |r| ≤ ln 2 / 2, by Taylor's series.
func expTail(r float64) float64 {
	const (
		c2  = 1.0 / 2
		c3  = c2 / 3
		c4  = c3 / 4
		c5  = c4 / 5
		c6  = c5 / 6
		c7  = c6 / 7
		c8  = c7 / 8
		c9  = c8 / 9
		c10 = c9 / 10
		c11 = c10 / 11
		c12 = c11 / 12
		c13 = c12 / 13
	)
	p := c12 + float64(r*c13)
	p = c11 + float64(r*p)
	p = c10 + float64(r*p)
	p = c9 + float64(r*p)
	p = c8 + float64(r*p)
	p = c7 + float64(r*p)
	p = c6 + float64(r*p)
	p = c5 + float64(r*p)
	p = c4 + float64(r*p)
	p = c3 + float64(r*p)
	return c2 + float64(r*p)
}

// Tanh returns the hyperbolic tangent of x; Tanh(±Inf) = ±1, Tanh(±0) = ±0,
// Tanh(NaN) = NaN.
func Tanh(x float64) float64 {
	a := math.Abs(x)
	switch {
	case x != x || x == 0:
		return x
	case a > 22: // 1 − tanh a < 2⁻⁵⁴
		return math.Copysign(1, x)
	case a < 1:
		t := expm1(float64(2 * a))
		return math.Copysign(t/(t+2), x)
	}
	return math.Copysign(1-2/(expm1(float64(2*a))+2), x)
}

// expm1 returns eˣ − 1 for 0 ≤ x ≤ 44.
func expm1(x float64) float64 {
	kf := nearest(float64(x * log2e))
	hi := x - float64(kf*ln2Hi)
	lo := float64(kf * ln2Lo)
	r := hi - lo
	c := (hi - r) - lo
	p := r + (c + float64(float64(r*r)*expTail(r)))
	scale := pow2(int(kf))
	return float64(scale*p) + (scale - 1)
}

// nearest rounds x, |x| < 2⁵¹, to the nearest integer.
func nearest(x float64) float64 { return (x + roundMagic) - roundMagic }

// pow2 returns 2ᵏ for −1022 ≤ k ≤ 1023.
func pow2(k int) float64 { return math.Float64frombits(uint64(k+1023) << 52) }
