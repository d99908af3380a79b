package kernels

import "math"

// fma returns x·y + z rounded once, as the FMA instruction of every machine
// gives it; a NaN may have other bits. The product of two float32 is exact in
// float64; the sum is rounded to odd there, after which rounding to float32 is
// the only rounding (Boldo and Melquiond, "Emulation of a FMA and correctly
// rounded sums: proved algorithms using rounding to odd", 2008).
func fma(x, y, z float32) float32 {
	p, c := float64(float64(x)*float64(y)), float64(z)
	s := p + c
	t := s - p
	e := (p - (s - t)) + (c - t) // s + e is p + c exactly
	if e != 0 && !math.IsInf(s, 0) && s == s {
		if b := math.Float64bits(s); b&1 == 0 {
			if (e > 0) == (s > 0) {
				b++
			} else {
				b--
			}
			s = math.Float64frombits(b)
		}
	}
	return float32(s)
}
