package main

import (
	"fmt"
	"strings"
)

// Offsets in the structs laneTile, laneSum and laneWindows of package kernels.
const (
	laneTileX = 8 * iota
	laneTileXCol
	laneTileXRow
	laneTileXNext
	laneTileXRowSkip
	laneTileXPlaneSkip
	laneTileW
	laneTileWRowSkip
	laneTileWPlaneSkip
	laneTileTaps
	laneTileRows
	laneTilePlanes
	laneTileTiles
	laneTileY
	laneTileYCol
	laneTileYRow
	laneTileYNext
	laneTileYO
	laneTileArg
	laneTileArgO
	laneTileBias
	laneTileAdd
	laneTileLow
)

const laneTileOne = laneTileLow + 4

const (
	laneSumX = 8 * iota
	laneSumXStep
	laneSumXRowSkip
	laneSumG
	laneSumGO
	laneSumGRowSkip
	laneSumRows
	laneSumCols
	laneSumOut
	laneSumOutO
	laneSumAdd
)

const (
	laneWindowsSmall = 8 * iota
	laneWindowsSmallRow
	laneWindowsArg
	laneWindowsBig
	laneWindowsBigRow
	laneWindowsKept
	laneWindowsKeptRow
	laneWindowsRows
	laneWindowsCols
	laneWindowsQuarter
)

const (
	laneWindowsBias = laneWindowsQuarter + 4
	laneWindowsLow  = laneWindowsQuarter + 8
	laneWindowsOne  = laneWindowsQuarter + 12
)

// laneBytes is the size of one value of all 16 examples.
const laneBytes = 64

const laneTaps = 5

// lanes emits the inner loops on 16 examples in the lanes.
func lanes(w *writer) string {
	var t strings.Builder
	most := 6
	if w.vectors == 16 {
		most = 3
	}
	fmt.Fprintf(&t, "\nvar %sLanes = lanesVectors{\nlaneWidth: %d,\nlaneMost: %d,\n", w.name, w.lanes, most)
	for _, pooled := range []string{"", "Max"} {
		fmt.Fprintf(&t, "laneTile%s: [laneOutputs + 1]func(t *laneTile){\n", pooled)
		for o := 1; o <= most; o++ {
			f := w.kernel(fmt.Sprintf("laneTile%s%d", pooled, o), "t *laneTile", func(a *asm) { newLaneTile(a, o).emit(pooled != "") })
			fmt.Fprintf(&t, "%d: %s,\n", o, f)
		}
		t.WriteString("},\n")
	}
	t.WriteString(w.laneSums())
	for _, op := range []struct {
		name string
		emit func(k *laneWindows, part int)
	}{
		{"Pool", (*laneWindows).pool},
		{"Route", (*laneWindows).route},
		{"Average", (*laneWindows).average},
		{"Scatter", (*laneWindows).scatter},
	} {
		f := w.kernel("lane"+op.name, "w *laneWindows", func(a *asm) { newLaneWindows(a).emit(op.emit) })
		fmt.Fprintf(&t, "lane%s: %s,\n", op.name, f)
	}
	for _, op := range []string{"Load", "Save"} {
		f := w.kernel("lane"+op, "b *laneBlocks", func(a *asm) { laneBlocks(a, op == "Load") })
		fmt.Fprintf(&t, "lane%s: %s,\n", op, f)
	}
	fetch := w.kernel("laneFetch", "f *laneFold", laneFetch)
	fmt.Fprintf(&t, "laneFetch: %s,\n", fetch)
	t.WriteString("laneFold: [5]func(f *laneFold){\n")
	for log := 2; log <= 4; log++ {
		f := w.kernel(fmt.Sprintf("laneFold%d", 1<<log), "f *laneFold", func(a *asm) { laneFold(a, 1<<log) })
		fmt.Fprintf(&t, "%d: %s,\n", log, f)
	}
	t.WriteString("},\n}\n")
	return t.String()
}

// pixels are the places of the four pixels of a square: on amd64 two pointers
// and an index, on arm64 four pointers.
type pixels struct {
	*asm
	p   []ptr
	col ptr
}

func (a *asm) pixels() *pixels {
	s := &pixels{asm: a, col: a.pointer()}
	n := 2
	if a.arm() {
		n = 4
	}
	for range n {
		s.p = append(s.p, a.pointer())
	}
	return s
}

// start sets the square's upper left pixel to p; the strides are arguments.
func (s *pixels) start(p ptr, colOffset, rowOffset int) {
	s.loadPointer(s.col, s.args, colOffset)
	s.loadPointer(s.p[1], s.args, rowOffset)
	s.move(s.p[0], p)
	s.add(s.p[1], p)
	if s.arm() {
		s.move(s.p[2], s.p[1]) // below
		s.move(s.p[1], p)
		s.add(s.p[1], s.col)
		s.move(s.p[3], s.p[2])
		s.add(s.p[3], s.col)
	}
}

// at is where pixel q is.
func (s *pixels) at(q int) mem {
	switch {
	case s.arm():
		return at(s.p[q], 0)
	case q&1 == 0:
		return at(s.p[q/2], 0)
	}
	return mem{base: s.p[q/2], index: s.col, scale: 1}
}

func (s *pixels) moveBy(n int) {
	for _, p := range s.p {
		s.addConst(p, n)
	}
}

func (s *pixels) moveOn(by ptr) {
	for _, p := range s.p {
		s.add(p, by)
	}
}

// A laneTile is the registers of a micro-kernel of correlation.
type laneTile struct {
	*asm
	outputs int
	sums    []vec // [output][pixel]
	w       []vec
	t       []vec
	x       *pixels
	wPtr    ptr
	tmp     ptr
}

func newLaneTile(a *asm, outputs int) *laneTile {
	k := &laneTile{asm: a, outputs: outputs}
	k.sums, k.w = a.take(4*outputs), a.take(outputs)
	k.t = a.take(min(2, len(a.freeVectors)))
	return k
}

func (k *laneTile) emit(pooled bool) {
	start, y, tiles := k.argument(laneTileX), k.argument(laneTileY), k.argument(laneTileTiles)
	var arg ptr
	if pooled {
		arg = k.argument(laneTileArg)
	}
	k.x, k.wPtr, k.tmp = k.pixels(), k.pointer(), k.pointer()
	planes, rows, taps := k.pointer(), k.pointer(), k.tmp
	k.loop(tiles, func() {
		for _, v := range k.sums {
			k.zero(v)
		}
		k.x.start(start, laneTileXCol, laneTileXRow)
		k.loadPointer(k.wPtr, k.args, laneTileW)
		k.loadPointer(planes, k.args, laneTilePlanes)
		k.loop(planes, func() {
			k.loadPointer(rows, k.args, laneTileRows)
			k.loop(rows, func() {
				k.loadPointer(taps, k.args, laneTileTaps)
				k.loop(taps, k.step)
				k.skip(laneTileXRowSkip, laneTileWRowSkip)
			})
			k.skip(laneTileXPlaneSkip, laneTileWPlaneSkip)
		})
		k.addArgument(start, laneTileXNext)
		if pooled {
			k.finishMax(y, arg, planes, rows)
			k.addConst(arg, laneBytes)
		} else {
			k.finish(y, planes)
		}
		k.addArgument(y, laneTileYNext)
	})
}

// addArgument adds an argument to p.
func (k *laneTile) addArgument(p ptr, offset int) {
	k.loadPointer(k.tmp, k.args, offset)
	k.add(p, k.tmp)
}

func (k *laneTile) skip(x, w int) {
	k.loadPointer(k.tmp, k.args, x)
	k.x.moveOn(k.tmp)
	k.addArgument(k.wPtr, w)
}

// step adds one tap's products.
func (k *laneTile) step() {
	for o, w := range k.w {
		k.broadcast(w, at(k.wPtr, 4*o))
	}
	for q := range 4 {
		t := k.t[q%len(k.t)]
		k.load(t, k.x.at(q))
		for o, w := range k.w {
			k.fma(k.sums[4*o+q], t, w)
		}
	}
	k.x.moveBy(laneBytes)
	k.addConst(k.wPtr, 4*k.outputs)
}

// eachPixel emits f for the place of each output and pixel in y.
func (k *laneTile) eachPixel(y ptr, f func(o, q int, m mem)) {
	k.x.start(y, laneTileYCol, laneTileYRow)
	for o := range k.outputs {
		for q := range 4 {
			f(o, q, k.x.at(q))
		}
		if o < k.outputs-1 {
			k.loadPointer(k.tmp, k.args, laneTileYO)
			k.x.moveOn(k.tmp)
		}
	}
}

func (k *laneTile) finish(y, p ptr) {
	whole := k.label()
	k.loadPointer(p, k.args, laneTileAdd)
	k.jumpIfZero(p, whole)
	k.eachPixel(y, func(o, q int, m mem) { k.addMem(k.sums[4*o+q], k.sums[4*o+q], m, k.t[0]) })
	k.place(whole)
	k.loadPointer(p, k.args, laneTileBias)
	for o := range k.outputs {
		k.broadcast(k.t[0], at(p, 4*o))
		for _, v := range k.sums[4*o : 4*o+4] {
			k.addv(v, v, k.t[0])
		}
	}
	low := k.w[0]
	k.broadcast(low, at(k.args, laneTileLow))
	k.eachPixel(y, func(o, q int, m mem) {
		k.atLeast(k.sums[4*o+q], low, k.t[0])
		k.store(k.sums[4*o+q], m)
	})
}

func (k *laneTile) finishMax(y, arg, yo, argo ptr) {
	k.release(k.w...)
	k.release(k.t...)
	bias := k.wPtr
	k.loadPointer(bias, k.args, laneTileBias)
	k.move(yo, y)
	k.move(argo, arg)
	constant, t, won := k.vector(), k.vector(), k.mask()
	for o := range k.outputs {
		v := k.sums[4*o : 4*o+4]
		k.largest(v, constant, won, t, laneTileOne)
		k.broadcast(constant, at(bias, 4*o))
		k.addv(v[0], v[0], constant)
		k.broadcast(constant, at(k.args, laneTileLow))
		k.atLeast(v[0], constant, t)
		k.store(v[0], at(yo, 0))
		k.store(v[1], at(argo, 0))
		if o < k.outputs-1 {
			k.addArgument(yo, laneTileYO)
			k.addArgument(argo, laneTileArgO)
		}
	}
	k.unmask(won)
	k.release(constant, t)
	k.w, k.t = k.take(len(k.w)), k.take(len(k.t))
}

// largest makes v[0] the first maximum of the four vectors v and v[1] its place;
// one is where the arguments have the floats 1, 2 and 3.
func (a *asm) largest(v []vec, constant vec, won mask, t vec, one int) {
	a.beats(won, v[1], v[0], t)
	a.choose(v[0], won, v[1], v[0])
	a.broadcast(constant, at(a.args, one))
	a.keep(v[1], won, constant)
	a.beats(won, v[3], v[2], t)
	a.choose(v[2], won, v[3], v[2])
	a.broadcast(v[3], at(a.args, one+4))
	a.broadcast(constant, at(a.args, one+8))
	a.choose(v[3], won, constant, v[3])
	a.beats(won, v[2], v[0], t)
	a.choose(v[0], won, v[2], v[0])
	a.choose(v[1], won, v[3], v[1])
}
