package main

import (
	"fmt"
	"strings"
)

// A target is an instruction set that kernels are emitted for.
type target struct {
	name    string // as in a table's name: avx512
	suffix  string // of the functions' names
	arch    string
	lanes   int // floats in a vector
	vectors int // vector registers
}

var targets = []target{
	{"avx512", "AVX512", "amd64", 16, 32},
	{"avx2", "AVX2", "amd64", 8, 16},
	{"neon", "NEON", "arm64", 4, 32},
}

// pointers are the integer registers that kernels may use. Go keeps its
// goroutine in R14 of amd64, but restores it after a call of assembly.
var pointers = map[string][]string{
	"amd64": {"AX", "BX", "CX", "DX", "SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13", "R15"},
	"arm64": {
		"R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15",
		"R19", "R20", "R21", "R22", "R23", "R24", "R25", "R26",
	},
}

// An asm emits the instructions of one kernel. Registers are taken by pointer and
// vector and given back by free; running out of them is a panic, since a kernel
// is written by a programmer.
type asm struct {
	*target
	name   string
	text   strings.Builder
	args   ptr // the argument struct
	labels int

	freePointers []ptr
	freeVectors  []vec
	freeMasks    []mask
}

// A ptr is an integer register that holds an address, a count or a stride in
// bytes.
type ptr string

// A vec is a vector register, by number.
type vec int

func newAsm(t *target, name string) *asm {
	a := &asm{target: t, name: name}
	for _, p := range pointers[t.arch] {
		a.freePointers = append(a.freePointers, ptr(p))
	}
	for v := range t.vectors {
		a.freeVectors = append(a.freeVectors, vec(v))
	}
	if t.name == "avx512" {
		for k := 1; k < 8; k++ {
			a.freeMasks = append(a.freeMasks, mask(k))
		}
	}
	return a
}

// line emits one instruction.
func (a *asm) line(format string, args ...any) { fmt.Fprintf(&a.text, "\t"+format+"\n", args...) }

func (a *asm) arm() bool { return a.arch == "arm64" }

// pointer takes an integer register.
func (a *asm) pointer() ptr {
	if len(a.freePointers) == 0 {
		panic(a.name + ": out of integer registers")
	}
	p := a.freePointers[0]
	a.freePointers = a.freePointers[1:]
	return p
}

// free gives integer registers back.
func (a *asm) free(p ...ptr) { a.freePointers = append(p, a.freePointers...) }

// vector takes a vector register.
func (a *asm) vector() vec {
	if len(a.freeVectors) == 0 {
		panic(a.name + ": out of vector registers")
	}
	v := a.freeVectors[0]
	a.freeVectors = a.freeVectors[1:]
	return v
}

// take takes n vector registers.
func (a *asm) take(n int) []vec {
	v := make([]vec, n)
	for i := range v {
		v[i] = a.vector()
	}
	return v
}

// release gives vector registers back.
func (a *asm) release(v ...vec) { a.freeVectors = append(v, a.freeVectors...) }

func (a *asm) loadFrame(p ptr, from string) {
	if a.arm() {
		a.line("MOVD %s, %s", from, p)
	} else {
		a.line("MOVQ %s, %s", from, p)
	}
}

// loadPointer loads an integer from offset bytes after base.
func (a *asm) loadPointer(p, base ptr, offset int) {
	a.loadFrame(p, fmt.Sprintf("%d(%s)", offset, base))
}

// argument takes a register and loads the integer at an offset of the argument
// struct.
func (a *asm) argument(offset int) ptr {
	p := a.pointer()
	a.loadPointer(p, a.args, offset)
	return p
}

// move copies an integer register.
func (a *asm) move(to, from ptr) {
	if a.arm() {
		a.line("MOVD %s, %s", from, to)
	} else {
		a.line("MOVQ %s, %s", from, to)
	}
}

// addConst adds a constant.
func (a *asm) addConst(p ptr, n int) {
	switch {
	case n == 0:
	case a.arm() && n < 0:
		a.line("SUB $%d, %s, %s", -n, p, p)
	case a.arm():
		a.line("ADD $%d, %s, %s", n, p, p)
	default:
		a.line("ADDQ $%d, %s", n, p)
	}
}

// add adds register q to p.
func (a *asm) add(p, q ptr) {
	if a.arm() {
		a.line("ADD %s, %s, %s", q, p, p)
	} else {
		a.line("ADDQ %s, %s", q, p)
	}
}

// sub subtracts register q from p.
func (a *asm) sub(p, q ptr) {
	if a.arm() {
		a.line("SUB %s, %s, %s", q, p, p)
	} else {
		a.line("SUBQ %s, %s", q, p)
	}
}

// shiftLeft multiplies p by 2ⁿ.
func (a *asm) shiftLeft(p ptr, n int) {
	if a.arm() {
		a.line("LSL $%d, %s, %s", n, p, p)
	} else {
		a.line("SHLQ $%d, %s", n, p)
	}
}

// label returns a new name for a place, which place puts here.
func (a *asm) label() string {
	a.labels++
	return fmt.Sprintf("l%d", a.labels)
}

func (a *asm) place(label string) { fmt.Fprintf(&a.text, "%s:\n", label) }

func (a *asm) jump(label string) { a.line("JMP %s", label) }

// jumpIfZero jumps where p is 0.
func (a *asm) jumpIfZero(p ptr, label string) {
	if a.arm() {
		a.line("CBZ %s, %s", p, label)
		return
	}
	a.line("TESTQ %s, %s", p, p)
	a.line("JEQ %s", label)
}

// countDown takes n from p and jumps to label while p has not fallen below 0, or,
// with positive, while it is above 0.
func (a *asm) countDown(p ptr, n int, label string, positive bool) {
	condition := "GE"
	if positive {
		condition = "GT"
	}
	if a.arm() {
		a.line("SUBS $%d, %s, %s", n, p, p)
		a.line("B%s %s", condition, label)
		return
	}
	a.line("SUBQ $%d, %s", n, p)
	a.line("J%s %s", condition, label)
}

// loop emits body to be run count times, at least once; count is 0 afterwards.
func (a *asm) loop(count ptr, body func()) {
	again := a.label()
	a.place(again)
	body()
	a.countDown(count, 1, again, true)
}

// unrolled emits body(0) … body(n−1) in a row for as long as count is at least n,
// after which advance(n) is emitted, then body(0) and advance(1) for what is left
// of count, which may be 0 and is used up.
func (a *asm) unrolled(count ptr, n int, body func(u int), advance func(n int)) {
	if n > 1 {
		many, few := a.label(), a.label()
		if a.arm() {
			a.line("SUBS $%d, %s, %s", n, count, count)
			a.line("BLT %s", few)
		} else {
			a.line("SUBQ $%d, %s", n, count)
			a.line("JLT %s", few)
			a.line("PCALIGN $32")
		}
		a.place(many)
		for u := range n {
			body(u)
		}
		advance(n)
		a.countDown(count, n, many, false)
		a.place(few)
		a.addConst(count, n)
	}
	done, again := a.label(), a.label()
	a.jumpIfZero(count, done)
	a.place(again)
	body(0)
	advance(1)
	a.countDown(count, 1, again, true)
	a.place(done)
}

// end leaves the kernel.
func (a *asm) end() {
	if !a.arm() {
		a.line("VZEROUPPER")
	}
	a.line("RET")
}
