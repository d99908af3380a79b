package kernels

import "math"

// ReLUForward computes y = max(0, x) for c channels of some pixels: 0 where
// 0 > x, else x. y may be x.
func ReLUForward(p *Pool, pixels, c int, x, y Maps) {
	p.forward("ReLUForward", opReLU, pixels, c, x, y)
}

// ReLUBackward computes gx = gy where the output y > 0, else 0. gx may be gy.
func ReLUBackward(p *Pool, pixels, c int, y, gy, gx Maps) {
	p.backward("ReLUBackward", opReLUBackward, pixels, c, y, gy, gx)
}

// SigmoidForward computes y = 1/(1+exp(−x)), the sum being one FMA of expParts.
// It is within 2.5 ulp, but 0 below −88.37, where the true value is about to be a
// subnormal. y may be x.
func SigmoidForward(p *Pool, pixels, c int, x, y Maps) {
	p.forward("SigmoidForward", opSigmoid, pixels, c, x, y)
}

// SigmoidBackward computes gx = gy · (y·(1−y)) from the output y. gx may be gy.
func SigmoidBackward(p *Pool, pixels, c int, y, gy, gx Maps) {
	p.backward("SigmoidBackward", opSigmoidBackward, pixels, c, y, gy, gx)
}

// TanhForward computes y = tanh(x): with e = exp(−2|x|) − 1, the sign of x before
// −e/(2+e). It is within 2.5 ulp, also near 0. y may be x.
func TanhForward(p *Pool, pixels, c int, x, y Maps) {
	p.forward("TanhForward", opTanh, pixels, c, x, y)
}

// TanhBackward computes gx = gy · ((1−y)·(1+y)) from the output y, which loses
// nothing where y is close to 1. gx may be gy.
func TanhBackward(p *Pool, pixels, c int, y, gy, gx Maps) {
	p.backward("TanhBackward", opTanhBackward, pixels, c, y, gy, gx)
}

// ScaledTanhForward computes y = 1.7159·tanh(⅔·x), each product rounded, which
// goes through (1, 1) and (−1, −1) (LeCun, Bottou, Bengio and Haffner,
// "Gradient-based learning applied to document recognition", 1998, appendix A). y
// may be x.
func ScaledTanhForward(p *Pool, pixels, c int, x, y Maps) {
	p.forward("ScaledTanhForward", opScaledTanh, pixels, c, x, y)
}

// ScaledTanhBackward computes gx = gy · (((A−y)·(A+y))·(2/3A)), A being 1.7159,
// from the output y. gx may be gy.
func ScaledTanhBackward(p *Pool, pixels, c int, y, gy, gx Maps) {
	p.backward("ScaledTanhBackward", opScaledTanhBackward, pixels, c, y, gy, gx)
}

func (p *Pool) forward(name string, op elementOp, pixels, c int, x, y Maps) {
	x.check(name, "x", pixels, c)
	y.check(name, "y", pixels, c)
	p.elements(op, pixels, c, x, Maps{}, y)
}

func (p *Pool) backward(name string, op elementOp, pixels, c int, y, gy, gx Maps) {
	y.check(name, "y", pixels, c)
	gy.check(name, "gy", pixels, c)
	gx.check(name, "gx", pixels, c)
	p.elements(op, pixels, c, y, gy, gx)
}

func relu(x, _ float32) float32 {
	if 0 > x {
		return 0
	}
	return x
}

func reluBackward(y, gy float32) float32 {
	if y > 0 {
		return gy
	}
	return 0
}

func sigmoid(x, _ float32) float32 {
	v := -x
	if sigmoidLow > v {
		v = sigmoidLow
	}
	if sigmoidTop < v {
		v = sigmoidTop
	}
	scale, p := expParts(v)
	return 1 / fma(1+p, scale, 1)
}

// The range outside of which sigmoid(−v) is 1 or 0.
const sigmoidLow, sigmoidTop = -87, 89

func sigmoidBackward(y, gy float32) float32 { return gy * float32(y*(1-y)) }

func tanh(x, _ float32) float32 {
	a := -magnitude(x)
	if tanhLow > a {
		a = tanhLow
	}
	scale, p := expParts(a + a)
	e := fma(scale, p, scale-1)
	return math.Float32frombits(math.Float32bits(e/(2+e))&^sign | math.Float32bits(x)&sign)
}

// tanhLow is where tanh is −1 from.
const tanhLow = -20

func tanhBackward(y, gy float32) float32 { return gy * float32((1-y)*(1+y)) }

// The height and the width of the scaled tanh, and what its derivative is divided
// by less y's own factors.
const (
	tanhHeight = 1.7159
	tanhWidth  = 2.0 / 3
	tanhSlope  = tanhWidth / tanhHeight
)

func scaledTanh(x, _ float32) float32 { return tanhHeight * tanh(float32(tanhWidth*x), 0) }

func scaledTanhBackward(y, gy float32) float32 {
	return gy * float32(float32((tanhHeight-y)*(tanhHeight+y))*tanhSlope)
}

const sign = 1 << 31

func magnitude(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ sign) }

// Constants of expParts: log₂e; ln 2 as the nearest float32 and what that lacks;
// expMagic, which, added to a small number, leaves the nearest whole one plus 127
// in the low bits; and the coefficients of (eʳ − 1 − r)/r² that make the greatest
// error of eʳ−1 relative to r the least on |r| ≤ ln 2/2 (Remez), 0.24 of a
// float32's last place.
const (
	log2e    = 1.44269504088896341
	ln2High  = 0x1.62e43p-1
	ln2Low   = math.Ln2 - ln2High
	expMagic = 3<<22 + 127

	exp2 = 0x1p-1
	exp3 = 0x1.5554aap-3
	exp4 = 0x1.555538p-5
	exp5 = 0x1.122c52p-7
	exp6 = 0x1.6cd79p-10
)

// expParts returns scale and p with exp(x) = scale·(1 + p) for −87 ≤ x ≤ 89; scale
// is a power of two, or +Inf from 88.37 on. The reduction to |r| ≤ ln 2/2 and the
// arrangement are Cody and Waite's ("Software Manual for the Elementary
// Functions", 1980) with fused products.
func expParts(x float32) (scale, p float32) {
	shifted := fma(x, log2e, expMagic)
	k := shifted - expMagic
	r := fma(k, -ln2Low, fma(k, -ln2High, x))
	p = fma(exp6, r, exp5)
	p = fma(p, r, exp4)
	p = fma(p, r, exp3)
	p = fma(p, r, exp2)
	p = fma(float32(r*r), p, r)
	return math.Float32frombits(math.Float32bits(shifted) << 23), p
}
