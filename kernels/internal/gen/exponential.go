package main

import "math"

// An exponential computes what needs exp, by the functions of activation.go in
// package kernels, on whole registers: a kernel of any group may use it. Where
// there are registers for them its constants stay in them; else they are read
// from memory each time.
type exponential struct {
	*asm
	pool  *pool
	table ptr
	kept  map[string]vec
}

// expPool writes the constants of exponentials into a group's file; once for each
// target.
func expPool(w *writer) *pool {
	const ln2High = 0x1.62e43p-1
	return w.pool("exponential",
		"sign", uint32(1<<31),
		"sigmoidLow", float32(-87),
		"sigmoidTop", float32(89),
		"tanhLow", float32(-20),
		"log2e", float32(math.Log2E),
		"magic", float32(3<<22+127),
		"ln2High", float32(ln2High),
		"ln2Low", float32(math.Ln2-ln2High),
		"exp6", float32(0x1.6cd79p-10),
		"exp5", float32(0x1.122c52p-7),
		"exp4", float32(0x1.555538p-5),
		"exp3", float32(0x1.5554aap-3),
		"exp2", float32(0.5),
		"one", float32(1),
		"two", float32(2),
		"tanhHeight", float32(1.7159),
		"tanhWidth", float32(2.0/3),
		"tanhSlope", float32(2/(3*1.7159)),
	)
}

// exponential takes an integer register for the address of the constants, and a
// vector for each constant of keep.
func (a *asm) exponential(p *pool, keep ...string) *exponential {
	e := &exponential{asm: a, pool: p, table: a.pointer(), kept: map[string]vec{}}
	a.poolAddress(e.table, p)
	for _, name := range keep {
		v := a.vector()
		a.constant(v, e.table, p, name)
		e.kept[name] = v
	}
	return e
}

var (
	partsConstants      = []string{"log2e", "magic", "ln2High", "ln2Low", "exp6", "exp5", "exp4", "exp3", "exp2"}
	sigmoidConstants    = append([]string{"sign", "sigmoidLow", "sigmoidTop", "one"}, partsConstants...)
	scaledTanhConstants = append([]string{"tanhHeight", "tanhWidth"}, tanhConstants...)
	tanhConstants       = append([]string{"sign", "tanhLow", "one", "two"}, partsConstants...)
)

// get returns a register with a constant: its own, or v.
func (e *exponential) get(v vec, name string) vec {
	if k, ok := e.kept[name]; ok {
		return k
	}
	return e.constant(v, e.table, e.pool, name)
}

// set puts a constant into v.
func (e *exponential) set(v vec, name string) { e.copy(v, e.get(v, name)) }

// parts is expParts: v goes in as x and comes out as p; t[0] becomes the scale,
// and t[1] to t[3] are overwritten.
func (e *exponential) parts(v vec, t []vec) {
	shifted, k, p, c := t[0], t[1], t[1], t[2]
	e.set(shifted, "magic")
	e.fma(shifted, v, e.get(c, "log2e"))
	e.subv(k, shifted, e.get(c, "magic"))
	e.shl(shifted, shifted, 23)
	e.fms(v, k, e.get(c, "ln2High"))
	e.fms(v, k, e.get(c, "ln2Low"))
	e.set(p, "exp6")
	for _, name := range []string{"exp5", "exp4", "exp3", "exp2"} {
		e.horner(p, v, e.get(c, name), t[3])
	}
	e.mulv(c, v, v)
	e.fma(v, c, p)
}

// sigmoid makes the sigmoid of x in x. Four registers of t are overwritten.
func (e *exponential) sigmoid(x vec, t []vec) {
	scale, c := t[0], t[1]
	e.xor(x, x, e.get(c, "sign"))
	e.atLeast(x, e.get(c, "sigmoidLow"), scale)
	e.atMost(x, e.get(c, "sigmoidTop"), scale)
	e.parts(x, t)
	one := e.get(c, "one")
	e.addv(x, x, one)
	e.horner(x, scale, one, t[3])
	e.divv(x, one, x)
}

// tanh makes the hyperbolic tangent of x in x. Five registers of t are
// overwritten.
func (e *exponential) tanh(x vec, t []vec) {
	v, scale, c := t[4], t[0], t[1]
	e.or(v, x, e.get(c, "sign"))
	e.atLeast(v, e.get(c, "tanhLow"), scale)
	e.addv(v, v, v)
	e.parts(v, t)
	e.subv(t[2], scale, e.get(c, "one"))
	e.fma(t[2], scale, v)
	e.addv(scale, t[2], e.get(c, "two"))
	e.divv(v, t[2], scale) // −tanh |x|
	s := e.get(c, "sign")
	e.and(x, x, s)
	e.or(v, v, s)
	e.xor(v, v, s)
	e.or(x, x, v)
}

// scaledTanh makes that of x in x. Five registers of t are overwritten.
func (e *exponential) scaledTanh(x vec, t []vec) {
	e.mulv(x, x, e.get(t[0], "tanhWidth"))
	e.tanh(x, t)
	e.mulv(x, x, e.get(t[0], "tanhHeight"))
}
