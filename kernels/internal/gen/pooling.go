package main

import (
	"fmt"
	"math/bits"
	"strings"
)

// Offsets in the struct windows of package kernels.
const (
	windowsX = 8 * iota
	windowsXCol
	windowsXSeg
	windowsXStep
	windowsY
	windowsYStep
	windowsArg
	windowsArgCol
	windowsArgSeg
	windowsArgStep
	windowsRows
	windowsCols
	windowsPixels
	windowsN
	windowsK
	windowsKSeg
	windowsAdd
	windowsCount
	windowsKCol = windowsK + 4
	windowsNone = windowsKSeg + 4
)

// poolings emits the loops of pooling.
func poolings(w *writer) string {
	var table strings.Builder
	fmt.Fprintf(&table, "\nvar %sPooling = poolingVectors{[poolingOps]func(w *windows){\n", w.name)
	for _, k := range []windowsKernel{
		{op: "MaxPool", max: true},
		{op: "MaxPoolArg", max: true, arg: true, positions: true},
		{op: "MaxPoolBackward", arg: true, positions: true, backward: true},
		{op: "MaxPoolBackwardStream", arg: true, positions: true, backward: true, stream: true},
		{op: "AvgPool"},
		{op: "AvgPoolBackward", backward: true},
		{op: "AvgPoolBackwardStream", backward: true, stream: true},
	} {
		f := w.kernel(strings.ToLower(k.op[:1])+k.op[1:]+"Windows", "w *windows", func(a *asm) {
			k.asm = a
			k.emit()
		})
		fmt.Fprintf(&table, "\top%s: %s,\n", k.op, f)
	}
	return table.String() + "}}\n"
}

// A windowsKernel is the registers of one loop of pooling.
type windowsKernel struct {
	*asm
	op             string
	max            bool // the result is a maximum, else a sum
	arg, positions bool // it reads or writes arg; it knows the position in the window
	backward       bool
	stream         bool // the results go past the cache, and are not added

	x, y, a              ptr // the first channel of the pixel, or of its window
	offset, argOffset    ptr // of the channels of this block, in bytes
	px, pa, rows, cols   ptr
	sums, where          []vec // of the block
	position, kCol, kSeg vec
	value, t             vec
	m, m2                mask
}

// block is how many vectors of channels are done at once.
func (k *windowsKernel) block() int {
	if k.vectors == 32 {
		return 4
	}
	return 2
}

func (k *windowsKernel) emit() {
	k.sums, k.value, k.t, k.m, k.m2 = k.take(k.block()), k.vector(), k.vector(), k.mask(), k.mask()
	if k.max && k.arg {
		k.where = k.take(k.block())
	}
	if k.positions {
		k.position, k.kCol, k.kSeg = k.vector(), k.vector(), k.vector()
		k.broadcast(k.kCol, at(k.args, windowsKCol))
		k.broadcast(k.kSeg, at(k.args, windowsKSeg))
	}
	k.x, k.y = k.argument(windowsX), k.argument(windowsY)
	if k.arg {
		k.a, k.argOffset, k.pa = k.argument(windowsArg), k.pointer(), k.pointer()
	}
	k.offset, k.px, k.rows, k.cols = k.pointer(), k.pointer(), k.pointer(), k.pointer()
	pixels, groups := k.argument(windowsPixels), k.pointer()
	k.loop(pixels, func() {
		k.loadPointer(groups, k.args, windowsN)
		k.shiftRight(groups, bits.TrailingZeros(uint(k.lanes)))
		k.blocks(groups)
		k.addArgument(k.x, windowsXStep)
		k.addArgument(k.y, windowsYStep)
		if k.arg {
			k.addArgument(k.a, windowsArgStep)
		}
	})
	if k.stream {
		k.fence()
	}
}

// blocks does the channels of one pixel.
func (k *windowsKernel) blocks(groups ptr) {
	k.move(k.offset, groups)
	k.sub(k.offset, groups)
	if k.arg {
		k.move(k.argOffset, k.offset)
	}
	done, few, many := k.label(), k.label(), k.label()
	next := func(n int) {
		k.addConst(k.offset, n*k.bytes())
		if k.arg {
			k.addConst(k.argOffset, n*k.lanes)
		}
	}
	n := k.block()
	k.addConst(groups, -n)
	k.jumpIfBelowZero(groups, few)
	k.place(many)
	k.windows(n)
	next(n)
	k.countDown(groups, n, many, false)
	k.place(few)
	k.addConst(groups, n)
	k.jumpIfZero(groups, done)
	k.loop(groups, func() {
		k.windows(1)
		next(1)
	})
	k.place(done)
}

// windows does the window of one pixel for n vectors of channels.
func (k *windowsKernel) windows(n int) {
	k.begin(n)
	none := k.label()
	k.loadPointer(k.rows, k.args, windowsRows)
	k.jumpIfZero(k.rows, none)
	k.loop(k.rows, func() {
		k.loadPointer(k.cols, k.args, windowsCols)
		k.loop(k.cols, func() {
			for u := range n {
				k.visit(u)
			}
			k.step(windowsXCol, windowsArgCol, k.kCol)
		})
		k.step(windowsXSeg, windowsArgSeg, k.kSeg)
	})
	k.place(none)
	k.finish(n)
}

func (k *windowsKernel) begin(n int) {
	k.move(k.px, k.x)
	k.add(k.px, k.offset)
	if k.arg {
		k.move(k.pa, k.a)
		k.add(k.pa, k.argOffset)
	}
	if k.positions {
		k.broadcast(k.position, at(k.args, windowsK))
	}
	for u := range n {
		if !k.max {
			k.zero(k.sums[u])
			continue
		}
		k.load(k.sums[u], at(k.px, u*k.bytes()))
		if k.arg {
			k.copy(k.where[u], k.position)
		}
	}
	if !k.max && !k.positions {
		k.broadcast(k.t, at(k.args, windowsCount))
	}
}

// step goes to another pixel of the window.
func (k *windowsKernel) step(x, arg int, position vec) {
	k.addArgument(k.px, x)
	if k.arg && k.backward {
		k.addArgument(k.pa, arg)
	}
	if k.positions {
		k.addi(k.position, k.position, position)
	}
}

// visit takes the u-th vector of a pixel in.
func (k *windowsKernel) visit(u int) {
	k.load(k.value, at(k.px, u*k.bytes()))
	switch {
	case k.max:
		k.notAbove(k.m, k.value, k.sums[u], k.m2)
		k.choose(k.sums[u], k.m, k.sums[u], k.value)
		if k.arg {
			k.choose(k.where[u], k.m, k.where[u], k.position)
		}
		return
	case k.positions:
		k.loadBytes(k.t, at(k.pa, u*k.lanes))
		k.equalInts(k.m, k.t, k.position)
		k.keep(k.value, k.m, k.value)
	case k.backward:
		k.divv(k.value, k.value, k.t)
	}
	k.addv(k.sums[u], k.sums[u], k.value)
}

// finish stores the results.
func (k *windowsKernel) finish(n int) {
	k.move(k.px, k.y)
	k.add(k.px, k.offset)
	for u := range n {
		switch {
		case k.max && k.arg:
			k.broadcast(k.t, at(k.args, windowsNone))
			k.or(k.t, k.t, k.where[u])
			k.zero(k.value)
			k.compare(k.m, "gt", k.sums[u], k.value)
			k.choose(k.where[u], k.m, k.where[u], k.t)
			k.storeBytes(k.where[u], at(k.pa, u*k.lanes), k.t)
		case !k.max && !k.backward:
			k.divv(k.sums[u], k.sums[u], k.t)
		}
	}
	if k.backward && !k.stream {
		set := k.label()
		k.loadPointer(k.rows, k.args, windowsAdd)
		k.jumpIfZero(k.rows, set)
		for u := range n {
			k.addMem(k.sums[u], k.sums[u], at(k.px, u*k.bytes()), k.t)
		}
		k.place(set)
	}
	for u := range n {
		if k.stream {
			k.storeStream(k.sums[u], at(k.px, u*k.bytes()))
		} else {
			k.store(k.sums[u], at(k.px, u*k.bytes()))
		}
	}
}
