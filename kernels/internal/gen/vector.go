package main

import "fmt"

// A mem is a place in memory: base + index·scale + offset bytes. NEON has no
// index.
type mem struct {
	base   ptr
	index  ptr
	scale  int
	offset int
}

// at is the place offset bytes after p.
func at(p ptr, offset int) mem { return mem{base: p, offset: offset} }

func (m mem) String() string {
	s := fmt.Sprintf("(%s)", m.base)
	if m.offset != 0 {
		s = fmt.Sprintf("%d%s", m.offset, s)
	}
	if m.index != "" {
		s += fmt.Sprintf("(%s*%d)", m.index, m.scale)
	}
	return s
}

// reg names a vector register.
func (a *asm) reg(v vec) string {
	switch a.lanes {
	case 16:
		return fmt.Sprintf("Z%d", v)
	case 8:
		return fmt.Sprintf("Y%d", v)
	}
	return fmt.Sprintf("V%d.S4", v)
}

// bytes is the size of a vector.
func (a *asm) bytes() int { return 4 * a.lanes }

// load loads a vector.
func (a *asm) load(v vec, m mem) {
	if a.arm() {
		a.line("FMOVQ %v, F%d", m, v)
	} else {
		a.line("VMOVUPS %v, %s", m, a.reg(v))
	}
}

// store stores a vector.
func (a *asm) store(v vec, m mem) {
	if a.arm() {
		a.line("FMOVQ F%d, %v", v, m)
	} else {
		a.line("VMOVUPS %s, %v", a.reg(v), m)
	}
}

// prefetch brings the line at m into the first level cache.
func (a *asm) prefetch(m mem) {
	if a.arm() {
		a.line("PRFM %v, PLDL1KEEP", m)
	} else {
		a.line("PREFETCHT0 %v", m)
	}
}

// prefetchSecond brings the line at m into the second level cache.
func (a *asm) prefetchSecond(m mem) {
	if a.arm() {
		a.line("PRFM %v, PLDL2KEEP", m)
	} else {
		a.line("PREFETCHT1 %v", m)
	}
}

// storeStream stores a vector past the cache where the target can; the address
// is a multiple of the vector's size. fence has to follow before the kernel ends.
func (a *asm) storeStream(v vec, m mem) {
	if a.arm() {
		a.store(v, m)
	} else {
		a.line("VMOVNTPS %s, %v", a.reg(v), m)
	}
}

func (a *asm) fence() {
	if !a.arm() {
		a.line("SFENCE")
	}
}

// broadcast loads one float into all lanes.
func (a *asm) broadcast(v vec, m mem) {
	if a.arm() {
		a.line("FMOVS %v, F%d", m, v)
		a.line("VDUP V%d.S[0], V%d.S4", v, v)
	} else {
		a.line("VBROADCASTSS %v, %s", m, a.reg(v))
	}
}

// zero makes all lanes +0.
func (a *asm) zero(v vec) {
	switch a.lanes {
	case 16:
		a.line("VPXORD Z%d, Z%d, Z%d", v, v, v)
	case 8:
		a.line("VXORPS Y%d, Y%d, Y%d", v, v, v)
	default:
		a.line("VEOR V%d.B16, V%d.B16, V%d.B16", v, v, v)
	}
}

// copy copies a vector.
func (a *asm) copy(to, from vec) {
	switch {
	case to == from:
	case a.arm():
		a.line("VORR V%d.B16, V%d.B16, V%d.B16", from, from, to)
	default:
		a.line("VMOVAPS %s, %s", a.reg(from), a.reg(to))
	}
}

// word emits an instruction of arm64 that the assembler does not know: op with
// the registers d, n and m in their places.
func (a *asm) word(op uint32, d, n, m vec) {
	a.line("WORD $0x%08x", op|uint32(m)<<16|uint32(n)<<5|uint32(d))
}

// fma does sum += x·y, rounded once.
func (a *asm) fma(sum, x, y vec) {
	if a.arm() {
		a.line("VFMLA V%d.S4, V%d.S4, V%d.S4", y, x, sum)
	} else {
		a.line("VFMADD231PS %s, %s, %s", a.reg(y), a.reg(x), a.reg(sum))
	}
}

// fmaBroadcast does sum += x·(the float at m), rounded once; t is overwritten
// where the target has no such operand.
func (a *asm) fmaBroadcast(sum, x vec, m mem, t vec) {
	if a.lanes == 16 {
		a.line("VFMADD231PS.BCST %v, %s, %s", m, a.reg(x), a.reg(sum))
		return
	}
	a.broadcast(t, m)
	a.fma(sum, x, t)
}

// fms does sum −= x·y, rounded once.
func (a *asm) fms(sum, x, y vec) {
	if a.arm() {
		a.line("VFMLS V%d.S4, V%d.S4, V%d.S4", y, x, sum)
	} else {
		a.line("VFNMADD231PS %s, %s, %s", a.reg(y), a.reg(x), a.reg(sum))
	}
}

// binary emits d = x op y: y is the second operand, as in Intel's manual.
func (a *asm) binary(amd64 string, arm64 uint32, d, x, y vec) {
	if a.arm() {
		a.word(arm64, d, x, y)
	} else {
		a.line("%s %s, %s, %s", amd64, a.reg(y), a.reg(x), a.reg(d))
	}
}

func (a *asm) addv(d, x, y vec) { a.binary("VADDPS", 0x4e20d400, d, x, y) }
func (a *asm) subv(d, x, y vec) { a.binary("VSUBPS", 0x4ea0d400, d, x, y) } // x − y
func (a *asm) mulv(d, x, y vec) { a.binary("VMULPS", 0x6e20dc00, d, x, y) }
func (a *asm) divv(d, x, y vec) { a.binary("VDIVPS", 0x6e20fc00, d, x, y) } // x ÷ y

// sqrt does d = √x, rounded correctly.
func (a *asm) sqrt(d, x vec) {
	if a.arm() {
		a.word(0x6ea1f800, d, x, 0)
	} else {
		a.line("VSQRTPS %s, %s", a.reg(x), a.reg(d))
	}
}

// addMem does d = x + (the vector at m); t is overwritten where the target has no
// such operand.
func (a *asm) addMem(d, x vec, m mem, t vec) {
	if a.arm() {
		a.load(t, m)
		a.addv(d, x, t)
	} else {
		a.line("VADDPS %v, %s, %s", m, a.reg(x), a.reg(d))
	}
}

// atLeast does v = low if low > v, else v; t is overwritten on some targets.
func (a *asm) atLeast(v, low, t vec) {
	if a.arm() {
		a.word(0x6ea0e400, t, low, v) // FCMGT t, low, v
		a.word(0x6ea01c00, v, low, t) // BIT v, low, t
	} else {
		a.line("VMAXPS %s, %s, %s", a.reg(v), a.reg(low), a.reg(v))
	}
}

// Bits of a vector as integers of 32 bits.

func (a *asm) integer(avx512, avx2 string, arm64 uint32, d, x, y vec) {
	if a.lanes == 16 {
		a.binary(avx512, 0, d, x, y)
	} else {
		a.binary(avx2, arm64, d, x, y)
	}
}

func (a *asm) and(d, x, y vec)  { a.integer("VPANDD", "VPAND", 0x4e201c00, d, x, y) }
func (a *asm) or(d, x, y vec)   { a.integer("VPORD", "VPOR", 0x4ea01c00, d, x, y) }
func (a *asm) xor(d, x, y vec)  { a.integer("VPXORD", "VPXOR", 0x6e201c00, d, x, y) }
func (a *asm) addi(d, x, y vec) { a.integer("VPADDD", "VPADDD", 0x4ea08400, d, x, y) }

// shl shifts each lane left by n bits, 1 to 31.
func (a *asm) shl(d, x vec, n int) {
	if a.arm() {
		a.line("VSHL $%d, V%d.S4, V%d.S4", n, x, d)
	} else {
		a.line("VPSLLD $%d, %s, %s", n, a.reg(x), a.reg(d))
	}
}

// A mask holds one truth value for each lane: a mask register of AVX-512, a
// vector register of ones and zeros elsewhere.
type mask int

// mask takes a mask.
func (a *asm) mask() mask {
	if a.lanes != 16 {
		return mask(a.vector())
	}
	if len(a.freeMasks) == 0 {
		panic(a.name + ": out of mask registers")
	}
	k := a.freeMasks[0]
	a.freeMasks = a.freeMasks[1:]
	return k
}

// unmask gives masks back.
func (a *asm) unmask(masks ...mask) {
	for _, k := range masks {
		if a.lanes != 16 {
			a.release(vec(k))
		} else {
			a.freeMasks = append([]mask{k}, a.freeMasks...)
		}
	}
}

// compare sets k where the comparison holds: "gt" x > y, "ge" x ≥ y, "eq" x = y.
// All are false where one is a NaN.
func (a *asm) compare(k mask, how string, x, y vec) {
	if a.arm() {
		op := map[string]uint32{"gt": 0x6ea0e400, "ge": 0x6e20e400, "eq": 0x4e20e400}[how]
		a.word(op, vec(k), x, y)
		return
	}
	// Predicates LT_OQ, LE_OQ and EQ_OQ with the operands exchanged for gt and ge.
	predicate := map[string]int{"gt": 0x11, "ge": 0x12, "eq": 0x00}[how]
	if how != "eq" {
		x, y = y, x
	}
	to := fmt.Sprintf("K%d", k)
	if a.lanes == 8 {
		to = a.reg(vec(k))
	}
	a.line("VCMPPS $%d, %s, %s, %s", predicate, a.reg(y), a.reg(x), to)
}

// beats sets k where v would replace m as the first maximum: where not m ≥ v, and
// m is no NaN. t is overwritten.
func (a *asm) beats(k mask, v, m, t vec) {
	switch a.lanes {
	case 16:
		a.line("VCMPPS $0x19, Z%d, Z%d, K%d", v, m, k)         // NGE_UQ
		a.line("VCMPPS $0x07, Z%d, Z%d, K%d, K%d", m, m, k, k) // ORD_Q
	case 8:
		a.line("VCMPPS $0x19, Y%d, Y%d, Y%d", v, m, k)
		a.line("VCMPPS $0x07, Y%d, Y%d, Y%d", m, m, t)
		a.and(vec(k), vec(k), t)
	default:
		a.word(0x6e20e400, t, m, v)           // FCMGE
		a.word(0x4e20e400, vec(k), m, m)      // FCMEQ
		a.word(0x4e601c00, vec(k), vec(k), t) // BIC
	}
}

// choose does d = yes where k is set, else no.
func (a *asm) choose(d vec, k mask, yes, no vec) {
	switch a.lanes {
	case 16:
		a.line("VBLENDMPS %s, %s, K%d, %s", a.reg(yes), a.reg(no), k, a.reg(d))
	case 8:
		a.line("VBLENDVPS %s, %s, %s, %s", a.reg(vec(k)), a.reg(yes), a.reg(no), a.reg(d))
	default:
		if d == no {
			a.word(0x6ea01c00, d, yes, vec(k)) // BIT
			return
		}
		if d == yes {
			a.word(0x6ee01c00, d, no, vec(k)) // BIF
			return
		}
		a.copy(d, no)
		a.word(0x6ea01c00, d, yes, vec(k))
	}
}

// keep does d = x where k is set, else +0.
func (a *asm) keep(d vec, k mask, x vec) {
	if a.lanes == 16 {
		a.line("VMOVAPS.Z %s, K%d, %s", a.reg(x), k, a.reg(d))
	} else {
		a.and(d, x, vec(k))
	}
}
