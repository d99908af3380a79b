package main

import (
	"fmt"
	"strings"
)

// laneSums emits the micro-kernels of gradients for every number of taps and as
// many outputs as there are registers for.
func (w *writer) laneSums() string {
	var t, most strings.Builder
	t.WriteString("laneSum: [laneTaps + 1][laneOutputs + 1]func(s *laneSum){\n")
	for taps := 1; taps <= laneTaps; taps++ {
		outputs := min(6, (w.vectors-1)/taps-1)
		if w.vectors == 32 {
			outputs = min(6, (w.vectors-2)/taps-1)
		}
		fmt.Fprintf(&most, "%d: %d, ", taps, outputs)
		fmt.Fprintf(&t, "%d: {\n", taps)
		for o := 1; o <= outputs; o++ {
			f := w.kernel(fmt.Sprintf("laneSum%dx%d", o, taps), "s *laneSum", func(a *asm) { newLaneSum(a, o, taps).emit() })
			fmt.Fprintf(&t, "%d: %s,\n", o, f)
		}
		t.WriteString("},\n")
	}
	return fmt.Sprintf("laneSumMost: [laneTaps + 1]int{%s},\n%s},\n", most.String(), t.String())
}

// A laneSum is the registers of a micro-kernel of gradients.
type laneSum struct {
	*asm
	outputs, taps int
	sums          []vec // [output][tap]
	x, t          []vec
	g             []ptr // amd64: of outputs 0 and 3; arm64: of each
	gO            ptr
}

func newLaneSum(a *asm, outputs, taps int) *laneSum {
	k := &laneSum{asm: a, outputs: outputs, taps: taps}
	k.sums, k.x = a.take(outputs*taps), a.take(taps)
	k.t = a.take(min(2, len(a.freeVectors)))
	return k
}

func (k *laneSum) emit() {
	for _, v := range k.sums {
		k.zero(v)
	}
	out, outO := k.argument(laneSumOut), k.argument(laneSumOutO)
	k.eachSum(out, outO, func(_ vec, m mem) { k.prefetch(m) })
	k.free(out, outO)
	x, step := k.argument(laneSumX), k.argument(laneSumXStep)
	k.spread()
	rows, cols, tmp := k.argument(laneSumRows), k.pointer(), k.pointer()
	k.loop(rows, func() {
		k.loadPointer(cols, k.args, laneSumCols)
		k.loop(cols, func() {
			for i, v := range k.x {
				k.load(v, at(x, laneBytes*i))
			}
			for o := range k.outputs {
				t := k.t[o%len(k.t)]
				k.load(t, k.gAt(o))
				for i, v := range k.x {
					k.fma(k.sums[o*k.taps+i], t, v)
				}
			}
			k.add(x, step)
			for _, p := range k.g {
				k.addConst(p, laneBytes)
			}
		})
		k.loadPointer(tmp, k.args, laneSumXRowSkip)
		k.add(x, tmp)
		k.loadPointer(tmp, k.args, laneSumGRowSkip)
		for _, p := range k.g {
			k.add(p, tmp)
		}
	})
	k.finish(tmp, rows, cols)
}

// spread loads the pointers to the outputs' gradients.
func (k *laneSum) spread() {
	k.g, k.gO = []ptr{k.argument(laneSumG)}, k.argument(laneSumGO)
	next := func(from ptr) ptr {
		p := k.pointer()
		k.move(p, from)
		k.add(p, k.gO)
		return p
	}
	if k.arm() {
		for len(k.g) < k.outputs {
			k.g = append(k.g, next(k.g[len(k.g)-1]))
		}
	} else if k.outputs > 3 {
		third := next(k.g[0])
		k.add(third, k.gO)
		k.add(third, k.gO)
		k.g = append(k.g, third)
	}
}

// gAt is where output o's gradient is.
func (k *laneSum) gAt(o int) mem {
	switch {
	case k.arm():
		return at(k.g[o], 0)
	case o == 0:
		return at(k.g[0], 0)
	case o == 3:
		return at(k.g[1], 0)
	case o == 5:
		return mem{base: k.g[1], index: k.gO, scale: 2}
	}
	return mem{base: k.g[0], index: k.gO, scale: o}
}

func (k *laneSum) finish(out, outO, add ptr) {
	whole := k.label()
	k.loadPointer(outO, k.args, laneSumOutO)
	k.loadPointer(add, k.args, laneSumAdd)
	k.jumpIfZero(add, whole)
	k.eachSum(out, outO, func(v vec, m mem) { k.addMem(v, v, m, k.t[0]) })
	k.place(whole)
	k.eachSum(out, outO, k.store)
}

func (k *laneSum) eachSum(out, outO ptr, f func(v vec, m mem)) {
	k.loadPointer(out, k.args, laneSumOut)
	for o := range k.outputs {
		for i := range k.taps {
			f(k.sums[o*k.taps+i], at(out, laneBytes*i))
		}
		if o < k.outputs-1 {
			k.add(out, outO)
		}
	}
}

// A laneWindows is the registers of a loop over windows of 2×2.
type laneWindows struct {
	*asm
	v           []vec
	constant, t vec
	won         mask
	small, arg  ptr
	big         [2]ptr // of a window's two rows
	kept        [2]ptr
}

func newLaneWindows(a *asm) *laneWindows {
	return &laneWindows{
		asm: a, v: a.take(4), constant: a.vector(), t: a.vector(), won: a.mask(),
		small: a.pointer(), arg: a.argument(laneWindowsArg),
		big: [2]ptr{a.pointer(), a.pointer()}, kept: [2]ptr{a.pointer(), a.pointer()},
	}
}

// emit emits the loop of an operation on a part of a window's lanes, some bytes
// from the first on.
func (k *laneWindows) emit(op func(k *laneWindows, part int)) {
	small, big, kept := k.argument(laneWindowsSmall), k.argument(laneWindowsBig), k.argument(laneWindowsKept)
	rows, cols := k.argument(laneWindowsRows), k.pointer()
	tmp := cols
	k.loop(rows, func() {
		k.move(k.small, small)
		k.loadPointer(tmp, k.args, laneWindowsSmallRow)
		k.add(small, tmp)
		k.twoRows(k.big, big, tmp, laneWindowsBigRow)
		k.twoRows(k.kept, kept, tmp, laneWindowsKeptRow)
		k.loadPointer(cols, k.args, laneWindowsCols)
		k.loop(cols, func() {
			for part := 0; part < laneBytes; part += k.bytes() {
				op(k, part)
			}
			k.addConst(k.small, laneBytes)
			k.addConst(k.arg, laneBytes)
			for _, p := range []ptr{k.big[0], k.big[1], k.kept[0], k.kept[1]} {
				k.addConst(p, 2*laneBytes)
			}
		})
	})
}

// twoRows sets p to first and the row after it, and moves first on by both.
func (k *laneWindows) twoRows(p [2]ptr, first, tmp ptr, rowOffset int) {
	k.loadPointer(tmp, k.args, rowOffset)
	for _, row := range p {
		k.move(row, first)
		k.add(first, tmp)
	}
}

// pixel is where a part of pixel q of the window is in two rows.
func (k *laneWindows) pixel(rows [2]ptr, q, part int) mem {
	return at(rows[q/2], q%2*laneBytes+part)
}

func (k *laneWindows) loadPixels(part int) {
	for q, v := range k.v {
		k.load(v, k.pixel(k.big, q, part))
	}
}

func (k *laneWindows) argumentOf(offset int) vec {
	k.broadcast(k.constant, at(k.args, offset))
	return k.constant
}

func (k *laneWindows) pool(part int) {
	v := k.v[0]
	k.loadPixels(part)
	k.largest(k.v, k.constant, k.won, k.t, laneWindowsOne)
	k.addv(v, v, k.argumentOf(laneWindowsBias))
	k.atLeast(v, k.argumentOf(laneWindowsLow), k.t)
	k.store(v, at(k.small, part))
	k.store(k.v[1], at(k.arg, part))
}

func (k *laneWindows) average(part int) {
	k.loadPixels(part)
	for q, v := range k.v {
		k.storeStream(v, k.pixel(k.kept, q, part)) // the pool's next locked instruction is the fence
	}
	v := k.v[0]
	k.addv(v, v, k.v[1])
	k.addv(k.v[2], k.v[2], k.v[3])
	k.addv(v, v, k.v[2])
	k.mulv(v, v, k.argumentOf(laneWindowsQuarter))
	k.store(v, at(k.small, part))
}

func (k *laneWindows) route(part int) {
	small, arg, v := k.v[0], k.v[1], k.v[2]
	k.load(small, at(k.small, part))
	k.load(arg, at(k.arg, part))
	k.zero(k.constant)
	for q := range 4 {
		place := k.constant
		if q > 0 {
			place = k.argumentOf(laneWindowsOne + 4*(q-1))
		}
		k.compare(k.won, "eq", arg, place)
		k.keep(v, k.won, small)
		k.store(v, k.pixel(k.big, q, part))
	}
}

func (k *laneWindows) scatter(part int) {
	v := k.v[0]
	k.load(v, at(k.small, part))
	k.mulv(v, v, k.argumentOf(laneWindowsQuarter))
	for q := range 4 {
		k.store(v, k.pixel(k.big, q, part))
	}
}
