package main

import "math"

// An exponential computes what needs exp, by the doc comments of activation.go in
// package kernels, on whole registers: a kernel of any group may use it. Its
// constants are read from memory each time, which costs no register and no time
// beside the arithmetic.
type exponential struct {
	*asm
	pool  *pool
	table ptr
}

// expPool writes the constants of exponentials into a group's file; once for each
// target.
func expPool(w *writer) *pool {
	const ln2High = 0x1.62e43p-1
	return w.pool("exponential",
		"sign", uint32(1<<31),
		"sigmoidTop", float32(-104),
		"tanhTop", float32(-20),
		"log2e", float32(math.Log2E),
		"magic", float32(3<<22),
		"ln2High", float32(ln2High),
		"ln2Low", float32(math.Ln2-ln2High),
		"exp6", float32(0x1.6cd79p-10),
		"exp5", float32(0x1.122c52p-7),
		"exp4", float32(0x1.555538p-5),
		"exp3", float32(0x1.5554aap-3),
		"exp2", float32(0.5),
		"bias", uint32((127+64)<<23),
		"unbias", float32(0x1p-64),
		"one", float32(1),
	)
}

// exponential takes an integer register for the address of the constants.
func (a *asm) exponential(p *pool) *exponential {
	e := &exponential{asm: a, pool: p, table: a.pointer()}
	a.poolAddress(e.table, p)
	return e
}

func (e *exponential) get(v vec, name string) vec { return e.constant(v, e.table, e.pool, name) }

// parts is expParts: v goes in as x and comes out as p; t[0] becomes the scale,
// and t[1] to t[3] are overwritten.
func (e *exponential) parts(v vec, t []vec) {
	shifted, k, p, c := t[0], t[1], t[1], t[2]
	e.get(shifted, "magic")
	e.fma(shifted, v, e.get(c, "log2e"))
	e.subv(k, shifted, e.get(c, "magic"))
	e.fms(v, k, e.get(c, "ln2High"))
	e.fms(v, k, e.get(c, "ln2Low"))
	e.get(p, "exp6")
	for _, name := range []string{"exp5", "exp4", "exp3", "exp2"} {
		e.horner(p, v, e.get(c, name), t[3])
	}
	e.mulv(c, v, v)
	e.fma(v, c, p)
	e.shl(shifted, shifted, 23)
	e.addi(shifted, shifted, e.get(c, "bias"))
}

// sigmoid makes the sigmoid of x in x. Five registers of t and a mask are
// overwritten.
func (e *exponential) sigmoid(x vec, t []vec, k mask) {
	v, scale, c := t[4], t[0], t[1]
	e.or(v, x, e.get(c, "sign"))
	e.atLeast(v, e.get(c, "sigmoidTop"), scale)
	e.parts(v, t)
	e.addv(v, v, e.get(c, "one"))
	e.mulv(v, v, scale)
	e.mulv(v, v, e.get(c, "unbias"))
	e.zero(scale)
	e.compare(k, "ge", x, scale)
	e.get(c, "one")
	e.choose(x, k, c, v)
	e.addv(v, v, c)
	e.divv(x, x, v)
}

// tanh makes the hyperbolic tangent of x in x. Five registers of t are
// overwritten.
func (e *exponential) tanh(x vec, t []vec) {
	v, scale, c := t[4], t[0], t[1]
	e.or(v, x, e.get(c, "sign"))
	e.atLeast(v, e.get(c, "tanhTop"), scale)
	e.addv(v, v, v)
	e.parts(v, t)
	e.mulv(scale, scale, e.get(c, "unbias"))
	e.subv(t[2], scale, e.get(c, "one"))
	e.fma(t[2], scale, v)
	e.get(c, "one")
	e.addv(c, c, c)
	e.addv(c, c, t[2])
	e.divv(v, t[2], c) // −tanh |x|
	e.get(c, "sign")
	e.and(x, x, c)
	e.or(v, v, c)
	e.xor(v, v, c)
	e.or(x, x, v)
}
