package main

import (
	"fmt"
	"math"
	"strings"
)

// Operations on lanes as integers, on bytes, and constants.

// shiftRight divides p, which is not negative, by 2ⁿ.
func (a *asm) shiftRight(p ptr, n int) {
	if a.arm() {
		a.line("LSR $%d, %s, %s", n, p, p)
	} else {
		a.line("SHRQ $%d, %s", n, p)
	}
}

// addArgument adds the integer at an offset of the argument struct to p.
func (a *asm) addArgument(p ptr, offset int) {
	if a.arm() {
		t := a.argument(offset)
		a.add(p, t)
		a.free(t)
	} else {
		a.line("ADDQ %d(%s), %s", offset, a.args, p)
	}
}

// atMost does v = top if top < v, else v; t is overwritten on some targets.
func (a *asm) atMost(v, top, t vec) {
	if a.arm() {
		a.word(0x6ea0e400, t, v, top) // FCMGT t, v, top
		a.word(0x6ea01c00, v, top, t) // BIT v, top, t
	} else {
		a.line("VMINPS %s, %s, %s", a.reg(v), a.reg(top), a.reg(v))
	}
}

// jumpIfBelowZero jumps where p is negative.
func (a *asm) jumpIfBelowZero(p ptr, label string) {
	if a.arm() {
		a.line("TBNZ $63, %s, %s", p, label)
	} else {
		a.line("TESTQ %s, %s", p, p)
		a.line("JLT %s", label)
	}
}

// equalInts sets k where x = y as integers.
func (a *asm) equalInts(k mask, x, y vec) {
	switch a.lanes {
	case 16:
		a.line("VPCMPEQD %s, %s, K%d", a.reg(y), a.reg(x), k)
	case 8:
		a.line("VPCMPEQD %s, %s, %s", a.reg(y), a.reg(x), a.reg(vec(k)))
	default:
		a.word(0x6ea08c00, vec(k), x, y) // CMEQ
	}
}

// notAbove sets k where v is neither greater than best nor a NaN; t is
// overwritten.
func (a *asm) notAbove(k mask, v, best vec, t mask) {
	const ordered, notGreater = 7, 0x1a
	switch a.lanes {
	case 16:
		a.line("VCMPPS $%d, %s, %s, K%d", ordered, a.reg(v), a.reg(v), t)
		a.line("VCMPPS $%d, %s, %s, K%d, K%d", notGreater, a.reg(best), a.reg(v), t, k)
	case 8:
		a.line("VCMPPS $%d, %s, %s, %s", ordered, a.reg(v), a.reg(v), a.reg(vec(t)))
		a.line("VCMPPS $%d, %s, %s, %s", notGreater, a.reg(best), a.reg(v), a.reg(vec(k)))
		a.and(vec(k), vec(k), vec(t))
	default:
		a.compare(k, "gt", v, best)
		a.compare(t, "eq", v, v)
		a.word(0x4e601c00, vec(k), vec(t), vec(k)) // BIC: t and not k
	}
}

// loadBytes loads a byte into each lane.
func (a *asm) loadBytes(v vec, m mem) {
	if a.arm() {
		a.line("FMOVS %v, F%d", m, v)
		a.line("VUSHLL $0, V%d.B8, V%d.H8", v, v)
		a.line("VUSHLL $0, V%d.H4, V%d.S4", v, v)
	} else {
		a.line("VPMOVZXBD %v, %s", m, a.reg(v))
	}
}

// storeBytes stores each lane, at most 255, as a byte; v and t are overwritten on
// some targets.
func (a *asm) storeBytes(v vec, m mem, t vec) {
	switch a.lanes {
	case 16:
		a.line("VPMOVDB %s, %v", a.reg(v), m)
	case 8:
		a.line("VEXTRACTI128 $1, Y%d, X%d", v, t)
		a.line("VPACKUSDW X%d, X%d, X%d", t, v, v)
		a.line("VPACKUSWB X%d, X%d, X%d", v, v, v)
		a.line("VMOVQ X%d, %v", v, m)
	default:
		a.word(0x0e612800, v, v, 0) // XTN to 16 bits
		a.word(0x0e212800, v, v, 0) // XTN to 8 bits
		a.line("FMOVS F%d, %v", v, m)
	}
}

// horner does p = p·x + c, rounded once; t is overwritten on some targets.
func (a *asm) horner(p, x, c, t vec) {
	if a.arm() {
		a.copy(t, c)
		a.fma(t, p, x)
		a.copy(p, t)
	} else {
		a.line("VFMADD213PS %s, %s, %s", a.reg(c), a.reg(x), a.reg(p))
	}
}

// A pool is constants in read-only memory, of one assembly file.
type pool struct {
	name  string
	index map[string]int
}

// pool writes constants, given as name and float32 or uint32 in turn, into the
// file.
func (w *writer) pool(name string, constants ...any) *pool {
	p := &pool{name + w.suffix, map[string]int{}}
	var text strings.Builder
	for i := 0; i < len(constants); i += 2 {
		bits, ok := constants[i+1].(uint32)
		if !ok {
			bits = math.Float32bits(constants[i+1].(float32))
		}
		p.index[constants[i].(string)] = 2 * i
		fmt.Fprintf(&text, "DATA %s<>+%d(SB)/4, $0x%08x\n", p.name, 2*i, bits)
	}
	fmt.Fprintf(&w.code, "\n%sGLOBL %s<>(SB), RODATA|NOPTR, $%d\n", text.String(), p.name, 2*len(constants))
	return p
}

// poolAddress loads the address of a pool into p.
func (a *asm) poolAddress(p ptr, from *pool) {
	if a.arm() {
		a.line("MOVD $%s<>(SB), %s", from.name, p)
	} else {
		a.line("LEAQ %s<>(SB), %s", from.name, p)
	}
}

// constant loads a pool's constant into all lanes of v and returns v.
func (a *asm) constant(v vec, address ptr, from *pool, name string) vec {
	offset, ok := from.index[name]
	if !ok {
		panic(a.name + ": no constant " + name)
	}
	a.broadcast(v, at(address, offset))
	return v
}
