package fmath

import "math"

// Log returns the natural logarithm of x. Log(+Inf) = +Inf, Log(±0) = −Inf,
// Log(x < 0) = NaN, Log(NaN) = NaN.
func Log(x float64) float64 {
	switch {
	case x != x || math.IsInf(x, 1):
		return x
	case x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	}
	m, kf := split(x)
	// With s = f/(2+f): log(1+f) = 2·atanh(s) = 2s + s·R = f − (f²/2 − s(f²/2+R)).
	f := m - 1
	s := f / (2 + f)
	s2 := float64(s * s)
	r := float64(float64(s2*2) * (1.0/3 + float64(s2*atanhTail(s2))))
	half := float64(0.5 * f * f)
	return float64(kf*ln2Hi) - ((half - (float64(s*(half+r)) + float64(kf*ln2Lo))) - f)
}

// atanhTail returns (atanh(s)/s − 1 − s²/3)/s⁴ for s2 = s² ≤ 0.0295.
func atanhTail(s2 float64) float64 {
	p := 1.0/23 + float64(s2*(1.0/25))
	p = 1.0/21 + float64(s2*p)
	p = 1.0/19 + float64(s2*p)
	p = 1.0/17 + float64(s2*p)
	p = 1.0/15 + float64(s2*p)
	p = 1.0/13 + float64(s2*p)
	p = 1.0/11 + float64(s2*p)
	p = 1.0/9 + float64(s2*p)
	p = 1.0/7 + float64(s2*p)
	return 1.0/5 + float64(s2*p)
}

// split returns m in [√½, √2) and a whole number k with x = m·2ᵏ, for x > 0.
func split(x float64) (m, k float64) {
	const sqrt2Mantissa = 0x6a09e667f3bcd // of √2
	e := 0
	if x < 0x1p-1022 {
		x *= 0x1p54
		e = -54
	}
	bits := math.Float64bits(x)
	e += int(bits>>52) - 1023
	mantissa := bits & (1<<52 - 1)
	if mantissa >= sqrt2Mantissa {
		e++
		return math.Float64frombits(1022<<52 | mantissa), float64(e)
	}
	return math.Float64frombits(1023<<52 | mantissa), float64(e)
}

// Pow returns x**y, with the special cases of math.Pow (C99, annex F.9.4.4).
func Pow(x, y float64) float64 {
	switch {
	case y == 0 || x == 1:
		return 1
	case x != x || y != y:
		return math.NaN()
	case x == 0 || math.IsInf(x, 0) || math.IsInf(y, 0):
		return powEdge(x, y)
	}
	sign := 1.0
	if x < 0 {
		whole, odd := parity(y)
		if !whole {
			return math.NaN()
		}
		if odd {
			sign = -1
		}
		x = -x
	}
	h, l := logParts(x)
	// y·(h+l), to about 2⁻⁶⁴ of itself.
	if t := float64(y * h); t > 710 || t < -746 {
		return float64(sign * expSum(t, 0))
	}
	p, e := mulExact(h, y)
	return float64(sign * expSum(p, e+float64(y*l)))
}

// powEdge is Pow where x is 0 or infinite, or y is infinite.
func powEdge(x, y float64) float64 {
	a := math.Abs(x)
	if math.IsInf(y, 0) {
		switch {
		case a == 1:
			return 1
		case (a > 1) == (y > 0):
			return math.Inf(1)
		}
		return 0
	}
	result := 0.0
	if (a == 0) == (y < 0) {
		result = math.Inf(1)
	}
	if _, odd := parity(y); odd {
		return math.Copysign(result, x)
	}
	return result
}

// parity reports whether the finite y is a whole number, and an odd one.
func parity(y float64) (whole, odd bool) {
	if math.Abs(y) >= 1<<53 {
		return true, false
	}
	n := int64(y)
	return float64(n) == y, n&1 != 0 && float64(n) == y
}

// logParts returns log x, for finite x > 0, as the sum of two floats, good to
// about 2⁻⁶⁴ of itself.
func logParts(x float64) (hi, lo float64) {
	m, kf := split(x)
	f := m - 1              // exact
	d, dl := addExact(2, f) // d+dl = 2+f
	s := f / d              // s+sl = f/(2+f)
	p, e := mulExact(s, d)  // the remainder of the division
	sl := (((f - p) - e) - float64(s*dl)) / d
	q, qe := mulExact(s, s) // q+qe = s²
	qe += float64(2 * s * sl)
	// log m = 2s + 2s·w, w = s²/3 + s⁴·tail
	const third, thirdLo = 0x1.5555555555555p-02, 1.0/3 - 0x1.5555555555555p-02
	w, we := mulExact(q, third)
	we += float64(q*thirdLo) + float64(qe*third)
	w, we = addExact(w, we+float64(float64(q*q)*atanhTail(q)))
	v, ve := mulExact(s, w)
	ve += float64(s*we) + float64(sl*w)
	// Now k·ln2Hi + 2s + 2v, from large to small, keeping what each sum loses.
	a, al := addExact(float64(2*s), float64(2*v))
	b, bl := addExact(float64(kf*ln2Hi), a)
	return addExact(b, bl+(al+(float64(kf*ln2Lo)+float64(2*(sl+ve)))))
}

// addExact returns the rounded sum of a and b and its error (Knuth's TwoSum).
func addExact(a, b float64) (sum, err float64) {
	sum = a + b
	t := sum - a
	return sum, (a - (sum - t)) + (b - t)
}

// mulExact returns the rounded product of a and b and its error (Dekker 1971,
// by Veltkamp's splitting, which does without a fused multiply-add).
func mulExact(a, b float64) (product, err float64) {
	product = float64(a * b)
	ah, al := halves(a)
	bh, bl := halves(b)
	err = float64(ah*bh) - product
	err += float64(ah * bl)
	err += float64(al * bh)
	return product, err + float64(al*bl)
}

// halves cuts a into two floats of 26 bits. Beyond 2⁹⁹⁵ the split would
// overflow; Pow's exponents there give 0, 1 or infinity whatever the split.
func halves(a float64) (hi, lo float64) {
	c := float64(a * (1<<27 + 1))
	hi = c - (c - a)
	return hi, a - hi
}
