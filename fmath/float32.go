package fmath

import "math"

// The float32 functions compute in float64 with a shorter polynomial: the
// result is the true value rounded to float32 in all but a few cases in a
// hundred, at a fraction of the cost of Exp.

// Exp32 returns eˣ. It overflows to +Inf above 88.72 and underflows gradually to
// 0 below −103.97; Exp32(NaN) = NaN.
func Exp32(x float32) float32 {
	if x != x {
		return x
	}
	scale, p := expShort(clamp(float64(x), 110))
	return float32(scale + float64(scale*p))
}

// Sigmoid32 returns 1/(1 + e⁻ˣ); Sigmoid32(NaN) = NaN.
func Sigmoid32(x float32) float32 {
	if x != x {
		return x
	}
	scale, p := expShort(-clamp(float64(x), 110))
	return float32(1 / (1 + (scale + float64(scale*p))))
}

// Tanh32 returns the hyperbolic tangent of x; Tanh32(±0) = ±0, Tanh32(NaN) =
// NaN.
func Tanh32(x float32) float32 {
	if x != x || x == 0 {
		return x
	}
	scale, p := expShort(float64(2 * clamp(float64(x), 20)))
	t := (scale - 1) + float64(scale*p) // e²ˣ − 1
	return float32(t / (t + 2))
}

// expShort returns a power of two and p with eˣ = scale·(1 + p), |p| < 0.42,
// to about 2⁻³², for |x| < 700.
func expShort(x float64) (scale, p float64) {
	const (
		c2 = 1.0 / 2
		c3 = c2 / 3
		c4 = c3 / 4
		c5 = c4 / 5
		c6 = c5 / 6
		c7 = c6 / 7
		c8 = c7 / 8
	)
	// In the sum's low bits stands k + 3·2⁵¹: shifted up, 3·2⁵¹ leaves and k is
	// in the exponent's place.
	shifted := float64(x*log2e) + roundMagic
	r := x - float64((shifted-roundMagic)*ln2)
	r2 := float64(r * r)
	scale = math.Float64frombits(math.Float64bits(shifted)<<52 + 1023<<52)
	low := c2 + float64(r*c3)
	mid := c4 + float64(r*c5)
	high := c6 + float64(r*c7) + float64(r2*c8)
	return scale, r + float64(r2*(low+float64(r2*(mid+float64(r2*high)))))
}

// clamp returns x within ±limit.
func clamp(x, limit float64) float64 { return max(-limit, min(limit, x)) }
