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

// laneWindows emits a loop over windows of 2×2.
func laneWindows(a *asm, op string) {
	small, big, rows := a.argument(laneWindowsSmall), a.argument(laneWindowsBig), a.argument(laneWindowsRows)
	arg := a.argument(laneWindowsArg)
	s, up, down, cols, tmp := a.pointer(), a.pointer(), a.pointer(), a.pointer(), a.pointer()
	v, constant, t, won := a.take(4), a.vector(), a.vector(), a.mask()
	kept := a.argument(laneWindowsKept)
	keptUp, keptDown := a.pointer(), a.pointer()
	copies := []mem{at(keptUp, 0), at(keptUp, laneBytes), at(keptDown, 0), at(keptDown, laneBytes)}
	places := []mem{at(up, 0), at(up, laneBytes), at(down, 0), at(down, laneBytes)}
	body := map[string]func(part int){
		"Pool": func(part int) {
			a.loadAll(v, places, part)
			a.largest(v, constant, won, t, laneWindowsOne)
			a.broadcast(constant, at(a.args, laneWindowsBias))
			a.addv(v[0], v[0], constant)
			a.broadcast(constant, at(a.args, laneWindowsLow))
			a.atLeast(v[0], constant, t)
			a.store(v[0], at(s, part))
			a.store(v[1], at(arg, part))
		},
		"Average": func(part int) {
			a.loadAll(v, places, part)
			for i, m := range copies {
				m.offset += part
				a.storeStream(v[i], m) // the pool's next locked instruction is the fence
			}
			a.addv(v[0], v[0], v[1])
			a.addv(v[2], v[2], v[3])
			a.addv(v[0], v[0], v[2])
			a.broadcast(constant, at(a.args, laneWindowsQuarter))
			a.mulv(v[0], v[0], constant)
			a.store(v[0], at(s, part))
		},
		"Route": func(part int) {
			a.load(v[0], at(s, part))
			a.load(v[1], at(arg, part))
			a.zero(constant)
			for q, m := range places {
				if q > 0 {
					a.broadcast(constant, at(a.args, laneWindowsOne+4*(q-1)))
				}
				a.compare(won, "eq", v[1], constant)
				a.keep(v[2], won, v[0])
				m.offset += part
				a.store(v[2], m)
			}
		},
		"Scatter": func(part int) {
			a.load(v[0], at(s, part))
			a.broadcast(constant, at(a.args, laneWindowsQuarter))
			a.mulv(v[0], v[0], constant)
			for _, m := range places {
				m.offset += part
				a.store(v[0], m)
			}
		},
	}[op]
	a.loop(rows, func() {
		a.move(s, small)
		a.move(up, big)
		a.move(down, big)
		a.loadPointer(tmp, a.args, laneWindowsBigRow)
		a.add(down, tmp)
		a.add(big, tmp)
		a.add(big, tmp)
		a.move(keptUp, kept)
		a.move(keptDown, kept)
		a.loadPointer(tmp, a.args, laneWindowsKeptRow)
		a.add(keptDown, tmp)
		a.add(kept, tmp)
		a.add(kept, tmp)
		a.loadPointer(tmp, a.args, laneWindowsSmallRow)
		a.add(small, tmp)
		a.loadPointer(cols, a.args, laneWindowsCols)
		a.loop(cols, func() {
			for part := 0; part < laneBytes; part += a.bytes() {
				body(part)
			}
			a.addConst(s, laneBytes)
			a.addConst(arg, laneBytes)
			for _, p := range []ptr{up, down, keptUp, keptDown} {
				a.addConst(p, 2*laneBytes)
			}
		})
	})
}

func (a *asm) loadAll(v []vec, places []mem, offset int) {
	for i, m := range places {
		m.offset += offset
		a.load(v[i], m)
	}
}
