package main

import (
	"fmt"
	"math/bits"
	"strings"
)

// linear emits what fully connected layers need beside the tiles: transposition,
// and sums over micro-batches.
func linear(w *writer) string {
	var tables strings.Builder
	f := w.kernel("transpose", "m *matrices", transpose)
	g := w.kernel("gatherPanels", "p *panelGather", gatherPanels)
	fmt.Fprintf(&tables, "\nvar %sLinear = linearVectors{\n\ttranspose: %s,\n\tgather: %s,\n\ttrees: [3][maxRows + 1]func(t *treeTile){\n", w.name, f, g)
	rows, columns := w.tileSize()
	for c := 1; c <= columns; c++ {
		fmt.Fprintf(&tables, "\t\t%d: {\n", c)
		for r := 1; r <= rows; r++ {
			f := w.kernel(fmt.Sprintf("tree%dx%d", r, 16*c), "t *treeTile", func(a *asm) { treeKernel(a, r, c) })
			fmt.Fprintf(&tables, "\t\t\t%d: %s,\n", r, f)
		}
		tables.WriteString("\t\t},\n")
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

// Offsets in the struct panelGather of package kernels.
const (
	gatherSrc = 8 * iota
	gatherSrcRow
	gatherDst
	gatherDstPanel
	gatherRows
	gatherPanelCount
	gatherWidth
)

// gatherPanels emits the copy of a matrix to panels, row by row. Rows are too far
// apart for the processor to see what comes: the eighth one from here is prefetched.
func gatherPanels(a *asm) {
	src, srcRow := a.argument(gatherSrc), a.argument(gatherSrcRow)
	dst, dstPanel := a.argument(gatherDst), a.argument(gatherDstPanel)
	rows, panels, width := a.argument(gatherRows), a.pointer(), a.pointer()
	from, to, p, ahead := a.pointer(), a.pointer(), a.pointer(), a.pointer()
	v := a.take(16 / a.lanes)
	a.loop(rows, func() {
		a.move(from, src)
		a.move(ahead, srcRow)
		a.shiftLeft(ahead, 3)
		a.add(ahead, src)
		a.move(to, dst)
		a.loadPointer(panels, a.args, gatherPanelCount)
		a.loop(panels, func() {
			a.move(p, to)
			a.loadPointer(width, a.args, gatherWidth)
			a.loop(width, func() {
				a.prefetchSecond(at(ahead, 0))
				a.addConst(ahead, 64)
				for i, r := range v {
					a.load(r, at(from, i*a.bytes()))
				}
				for i, r := range v {
					a.store(r, at(p, i*a.bytes()))
				}
				a.addConst(from, 64)
				a.addConst(p, 64)
			})
			a.add(to, dstPanel)
		})
		a.add(src, srcRow)
		a.loadPointer(width, a.args, gatherWidth)
		a.shiftLeft(width, 6)
		a.add(dst, width)
	})
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
	treeLeaves
	treeCount
	treeStack
)

// Offsets in the struct treeLeaf, and its size.
const (
	leafK         = 0
	leafAdditions = 8
	leafSize      = 16
)

// treeKernel emits the sums of a tile over the leaves of a tree. The sums of a leaf
// are in registers, those that wait for their sibling on a stack.
func treeKernel(a *asm, rows, columns16 int) {
	k := newTileKernel(a, rows, columns16, true)
	ap, b := k.rowPtrs[0], a.argument(treeB)
	k.bPtr, k.bStep, k.aStep = a.pointer(), a.argument(treeBStep), a.argument(treeAStep)
	c, groups := a.argument(treeC), a.argument(treeGroups)
	leaf, left, stack, count := a.pointer(), a.pointer(), a.pointer(), a.pointer()
	onStack := func(f func(v vec, m mem)) {
		for i, v := range k.sums {
			f(v, at(stack, i*a.bytes()))
		}
	}
	size := len(k.sums) * a.bytes()
	a.loop(groups, func() {
		a.move(k.bPtr, b)
		a.loadPointer(ap, a.args, treeA)
		a.loadPointer(leaf, a.args, treeLeaves)
		a.loadPointer(left, a.args, treeCount)
		a.loadPointer(stack, a.args, treeStack)
		first, next, whole := a.label(), a.label(), a.label()
		a.jump(first)
		a.place(next)
		onStack(a.store)
		a.addConst(stack, size)
		a.place(first)
		for _, v := range k.sums {
			a.zero(v)
		}
		a.loadPointer(count, leaf, leafK)
		a.unrolled(count, 4, k.step, k.advance)
		a.loadPointer(count, leaf, leafAdditions)
		a.jumpIfZero(count, whole)
		a.loop(count, func() {
			a.addConst(stack, -size)
			onStack(func(v vec, m mem) { a.addMem(v, v, m, k.t[0]) })
		})
		a.place(whole)
		a.addConst(leaf, leafSize)
		a.countDown(left, 1, next, true)
		k.storeTree(c, leaf, left)
		a.addConst(b, k.width*a.bytes())
		a.addConst(c, k.width*a.bytes())
	})
	cached := a.label()
	a.loadPointer(count, a.args, treeStream)
	a.jumpIfZero(count, cached)
	a.fence()
	a.place(cached)
}

// storeTree stores the sums of a tile to c; p and t are registers for it.
func (k *tileKernel) storeTree(c, p, t ptr) {
	stored, plain := k.label(), k.label()
	k.move(p, c)
	k.loadPointer(t, k.args, treeStream)
	k.jumpIfZero(t, plain)
	k.loadPointer(t, k.args, treeCRow)
	k.eachRow(p, t, k.storeStream)
	k.jump(stored)
	k.place(plain)
	k.loadPointer(t, k.args, treeCRow)
	k.eachRow(p, t, k.store)
	k.place(stored)
}
