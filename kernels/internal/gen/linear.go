package main

import (
	"fmt"
	"math/bits"
	"strings"
)

// linear emits what fully connected layers need beside the tiles: transposition,
// and the sums over micro-batches in registers.
func linear(w *writer) string {
	var tables strings.Builder
	f := w.kernel("transpose", "m *matrices", transpose)
	fmt.Fprintf(&tables, "\nvar %sLinear = linearVectors{\n\ttranspose: %s,\n\ttreeRows: %d,\n\ttrees: [4][maxTreeRows + 1]func(t *treeTile){\n", w.name, f, w.treeRows())
	for levels := range 4 {
		tables.WriteString("\t\t{")
		for r := 1; r <= w.treeRows(); r++ {
			f := w.kernel(fmt.Sprintf("tree%dx%d", 1<<levels, r), "t *treeTile", func(a *asm) { treeKernel(a, levels, r) })
			fmt.Fprintf(&tables, "%d: %s, ", r, f)
		}
		tables.WriteString("},\n")
	}
	tables.WriteString("\t},\n}\n")
	return tables.String()
}

// Offsets in the struct matrices of package kernels.
const (
	matricesSrc = 8 * iota
	matricesDst
	matricesSrcRow
	matricesDstRow
	matricesRows
	matricesColumns
)

// transpose emits the transposition of a matrix, a square of vectors at a time.
func transpose(a *asm) {
	src, dst := a.argument(matricesSrc), a.argument(matricesDst)
	srcRow, dstRow := a.argument(matricesSrcRow), a.argument(matricesDstRow)
	columns := a.argument(matricesColumns)
	squares := bits.Len(uint(16/a.lanes)) - 1 // log2 of vectors in 16 floats
	if squares > 0 {
		a.shiftLeft(columns, squares)
	}
	rows, s, d, p := a.pointer(), a.pointer(), a.pointer(), a.pointer()
	v, t := a.take(a.lanes), a.take(a.lanes)
	a.loop(columns, func() {
		a.move(s, src)
		a.move(d, dst)
		a.loadPointer(rows, a.args, matricesRows)
		if squares > 0 {
			a.shiftLeft(rows, squares)
		}
		a.loop(rows, func() {
			for _, r := range v {
				a.load(r, at(s, 0))
				a.add(s, srcRow)
			}
			out := a.square(v, t)
			a.move(p, d)
			for _, r := range out {
				a.store(r, at(p, 0))
				a.add(p, dstRow)
			}
			a.addConst(d, a.bytes())
		})
		a.addConst(src, a.bytes())
		a.move(p, dstRow)
		a.shiftLeft(p, bits.Len(uint(a.lanes))-1)
		a.add(dst, p)
	})
}

// square transposes the square of the vectors v with the help of as many more; it
// returns which hold the result.
func (a *asm) square(v, t []vec) []vec {
	for i := 0; i < len(v); i += 2 { // pairs of rows
		a.interleave("PS", false, t[i], v[i], v[i+1])
		a.interleave("PS", true, t[i+1], v[i], v[i+1])
	}
	for i := 0; i < len(v); i += 4 { // v[i+j] has column j of each quarter, rows i to i+3
		a.interleave("PD", false, v[i], t[i], t[i+2])
		a.interleave("PD", true, v[i+1], t[i], t[i+2])
		a.interleave("PD", false, v[i+2], t[i+1], t[i+3])
		a.interleave("PD", true, v[i+3], t[i+1], t[i+3])
	}
	switch a.lanes {
	case 8:
		for j := range 4 {
			a.line("VPERM2F128 $0x20, %s, %s, %s", a.reg(v[4+j]), a.reg(v[j]), a.reg(t[j]))
			a.line("VPERM2F128 $0x31, %s, %s, %s", a.reg(v[4+j]), a.reg(v[j]), a.reg(t[4+j]))
		}
		return t
	case 16:
		quarters := func(select4 int, d, x, y vec) {
			a.line("VSHUFF32X4 $0x%02x, %s, %s, %s", select4, a.reg(y), a.reg(x), a.reg(d))
		}
		for j := range 4 {
			quarters(0x44, t[j], v[j], v[4+j])
			quarters(0xee, t[4+j], v[j], v[4+j])
			quarters(0x44, t[8+j], v[8+j], v[12+j])
			quarters(0xee, t[12+j], v[8+j], v[12+j])
		}
		for j := range 4 {
			quarters(0x88, v[j], t[j], t[8+j])
			quarters(0xdd, v[4+j], t[j], t[8+j])
			quarters(0x88, v[8+j], t[4+j], t[12+j])
			quarters(0xdd, v[12+j], t[4+j], t[12+j])
		}
	}
	return v
}

// interleave takes elements of x and y in turn, from the lower or the upper half
// of each quarter of 128 bits: floats for PS, pairs of floats for PD.
func (a *asm) interleave(size string, upper bool, d, x, y vec) {
	if a.arm() {
		op := uint32(0x4e803800) // ZIP1, of four
		if size == "PD" {
			op |= 0x00400000
		}
		if upper {
			op |= 0x00004000
		}
		a.word(op, d, x, y)
		return
	}
	half := "L"
	if upper {
		half = "H"
	}
	a.line("VUNPCK%s%s %s, %s, %s", half, size, a.reg(y), a.reg(x), a.reg(d))
}

// Offsets in the struct treeTile of package kernels.
const (
	treeA = 8 * iota
	treeAStep
	treeB
	treeBStep
	treeC
	treeCRow
	treeGroups
	treeStream
	treeK
)

// treeRows is the most rows of a tree kernel: four sums of each row stay in
// registers.
func (t *target) treeRows() int {
	if t.name == "avx2" {
		return 3
	}
	return 7
}

// treeKernel emits the sums of rows over 2^levels micro-batches, added in tree
// order.
func treeKernel(a *asm, levels, rows int) {
	ap, aStep, bp, bStep := a.argument(treeA), a.argument(treeAStep), a.argument(treeB), a.argument(treeBStep)
	c, cRow, groups := a.argument(treeC), a.argument(treeCRow), a.argument(treeGroups)
	if squares := bits.Len(uint(16/a.lanes)) - 1; squares > 0 {
		a.shiftLeft(groups, squares)
	}
	k, b, p := a.pointer(), a.pointer(), a.pointer()
	x, t := a.vector(), a.vector()
	var sums [][]vec
	for range levels + 1 {
		sums = append(sums, a.take(rows))
	}
	leaf := 0
	var node func(level, at int)
	node = func(level, set int) {
		if level > 0 {
			node(level-1, set)
			node(level-1, set+1)
			for r, v := range sums[set] {
				a.addv(v, v, sums[set+1][r])
			}
			return
		}
		for _, v := range sums[set] {
			a.zero(v)
		}
		a.loadPointer(k, a.args, treeK+8*leaf)
		leaf++
		a.loop(k, func() {
			a.load(x, at(b, 0))
			for r, v := range sums[set] {
				a.fmaBroadcast(v, x, at(ap, 4*r), t)
			}
			a.add(b, bStep)
			a.add(ap, aStep)
		})
	}
	a.loop(groups, func() {
		a.move(b, bp)
		a.loadPointer(ap, a.args, treeA)
		node(levels, 0)
		stored, plain := a.label(), a.label()
		a.move(p, c)
		a.loadPointer(k, a.args, treeStream)
		a.jumpIfZero(k, plain)
		for _, v := range sums[0] {
			a.storeStream(v, at(p, 0))
			a.add(p, cRow)
		}
		a.jump(stored)
		a.place(plain)
		for _, v := range sums[0] {
			a.store(v, at(p, 0))
			a.add(p, cRow)
		}
		a.place(stored)
		a.addConst(bp, a.bytes())
		a.addConst(c, a.bytes())
	})
	a.fence()
}
