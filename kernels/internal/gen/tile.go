package main

import (
	"fmt"
	"strings"
)

// Offsets in the struct tile of package kernels.
const (
	tileA = 8 * iota
	tileARow
	tileAStep
	tileASeg
	tileB
	tileBStep
	tileBSeg
	tileC
	tileCRow
	tileInit
	tileInitRow
	tileK
	tileSegs
	tileLow
	tileAhead
)

// tileSize is the largest tile of a target: rows, and columns of 16.
func (t *target) tileSize() (rows, columns int) {
	if t.name == "avx512" {
		return 14, 2
	}
	return 6, 1
}

// tiles emits the micro-kernels of both forms for every number of rows.
func tiles(w *writer) string {
	var tables strings.Builder
	rows, columns := w.tileSize()
	for _, form := range []string{"Rows", "Columns"} {
		fmt.Fprintf(&tables, "\nvar %sTile%s = [3][maxRows + 1]micro{\n", w.name, form)
		for c := 1; c <= columns; c++ {
			fmt.Fprintf(&tables, "\t%d: {\n", c)
			for r := 1; r <= rows; r++ {
				f := w.kernel(fmt.Sprintf("tile%s%dx%d", form, r, 16*c), "t *tile", func(a *asm) {
					newTileKernel(a, r, c, form == "Columns").emit()
				})
				fmt.Fprintf(&tables, "\t\t%d: %s,\n", r, f)
			}
			tables.WriteString("\t},\n")
		}
		tables.WriteString("}\n")
	}
	return tables.String()
}

// A tileKernel is the registers of one micro-kernel.
type tileKernel struct {
	*asm
	rows, width int // width in vectors
	columns     bool
	sums        []vec // row by row
	b           []vec
	t           []vec // what A's elements are broadcast to
	rowPtrs     []ptr // amd64: of each third row; arm64: of each row; columns: the one
	aStep       ptr   // rows: aRow, columns: aStep
	ahead, t0   ptr   // rows: how far to prefetch, and a register for it
	bPtr, bStep ptr
}

func newTileKernel(a *asm, rows, columns16 int, columns bool) *tileKernel {
	k := &tileKernel{asm: a, rows: rows, width: columns16 * 16 / a.lanes, columns: columns}
	k.sums, k.b, k.t = a.take(rows*k.width), a.take(k.width), a.take(2)
	n := 1
	if !columns {
		n = (rows + 2) / 3
		if a.arm() {
			n = rows
		}
	}
	for range n {
		k.rowPtrs = append(k.rowPtrs, a.pointer())
	}
	return k
}

func (k *tileKernel) emit() {
	for _, v := range k.sums {
		k.zero(v)
	}
	k.loadPointer(k.rowPtrs[0], k.args, tileA)
	k.bPtr, k.bStep = k.argument(tileB), k.argument(tileBStep)
	k.aStep = k.argument(tileARow)
	if k.columns {
		k.loadPointer(k.aStep, k.args, tileAStep)
	}
	if !k.columns {
		k.ahead, k.t0 = k.argument(tileAhead), k.pointer()
	}
	if !k.columns {
		k.prefetchC()
	}
	segs := k.argument(tileSegs)
	count := k.pointer()
	k.loop(segs, func() {
		k.spreadRows(count)
		k.loadPointer(count, k.args, tileK)
		unroll := 4
		if k.arm() {
			unroll = 1
		}
		k.unrolled(count, unroll, k.step, k.advance)
		t := count
		k.loadPointer(t, k.args, tileASeg)
		k.add(k.rowPtrs[0], t)
		k.loadPointer(t, k.args, tileBSeg)
		k.add(k.bPtr, t)
	})
	if !k.columns {
		k.free(k.ahead, k.t0)
	}
	k.free(segs, count, k.bPtr, k.bStep, k.aStep)
	k.free(k.rowPtrs...)
	k.finish()
}

// spreadRows makes the rows' pointers out of the first one's.
func (k *tileKernel) spreadRows(t ptr) {
	if len(k.rowPtrs) == 1 {
		return
	}
	step := k.aStep
	if !k.arm() {
		k.line("LEAQ (%s)(%s*2), %s", k.aStep, k.aStep, t)
		step = t
	}
	for i := 1; i < len(k.rowPtrs); i++ {
		if k.arm() {
			k.line("ADD %s, %s, %s", step, k.rowPtrs[i-1], k.rowPtrs[i])
		} else {
			k.line("LEAQ (%s)(%s*1), %s", k.rowPtrs[i-1], step, k.rowPtrs[i])
		}
	}
}

// element is where A's row i is, u steps of k further on.
func (k *tileKernel) element(i, u int) mem {
	switch {
	case k.columns:
		return at(k.rowPtrs[0], 4*i)
	case k.arm():
		return at(k.rowPtrs[i], 4*u)
	case i%3 == 0:
		return at(k.rowPtrs[i/3], 4*u)
	}
	return mem{base: k.rowPtrs[i/3], index: k.aStep, scale: i % 3, offset: 4 * u}
}

// step adds one k's products.
func (k *tileKernel) step(u int) {
	for j, v := range k.b {
		k.load(v, at(k.bPtr, j*k.bytes()))
	}
	k.add(k.bPtr, k.bStep)
	for i := range k.rows {
		if k.width == 1 {
			k.fmaBroadcast(k.sums[i], k.b[0], k.element(i, u), k.t[i%2])
			continue
		}
		t := k.t[i%2]
		k.broadcast(t, k.element(i, u))
		for j, b := range k.b {
			k.fma(k.sums[i*k.width+j], t, b)
		}
	}
	if k.columns {
		k.add(k.rowPtrs[0], k.aStep)
	}
}

// advance moves the rows' pointers by n steps of k.
func (k *tileKernel) advance(n int) {
	if k.columns {
		return
	}
	if n > 1 {
		k.prefetchRows()
	}
	for _, p := range k.rowPtrs {
		k.addConst(p, 4*n)
	}
}

// prefetchC prefetches where the sums are going to be stored, which often is not in
// the cache: the stores would fill their queue and hold up the next tile.
func (k *tileKernel) prefetchC() {
	const line = 64
	p, row := k.argument(tileC), k.argument(tileCRow)
	for i := range k.rows {
		for j := 0; j < k.width*k.bytes(); j += line {
			k.prefetch(at(p, j))
		}
		if i < k.rows-1 {
			k.add(p, row)
		}
	}
	k.free(p, row)
}

// prefetchRows prefetches what is ahead of each row of A.
func (k *tileKernel) prefetchRows() {
	for i := range k.rows {
		m := k.element(i, 0)
		if i%3 == 0 {
			k.move(k.t0, m.base)
			k.add(k.t0, k.ahead)
		}
		m.base = k.t0
		k.prefetch(m)
	}
}

// finish adds init, applies low and stores the sums.
func (k *tileKernel) finish() {
	store := k.label()
	p, row := k.argument(tileInit), k.argument(tileInitRow)
	k.jumpIfZero(p, store)
	k.eachRow(p, row, func(v vec, m mem) { k.addMem(v, v, m, k.b[0]) })
	k.place(store)
	low := k.b[0]
	k.broadcast(low, at(k.args, tileLow))
	k.loadPointer(p, k.args, tileC)
	k.loadPointer(row, k.args, tileCRow)
	k.eachRow(p, row, func(v vec, m mem) {
		k.atLeast(v, low, k.t[0])
		k.store(v, m)
	})
}

// eachRow emits f for each vector of the tile and its place, row by row from p
// on, which it moves.
func (k *tileKernel) eachRow(p, row ptr, f func(v vec, m mem)) {
	for i := range k.rows {
		for j := range k.width {
			f(k.sums[i*k.width+j], at(p, j*k.bytes()))
		}
		if i < k.rows-1 {
			k.add(p, row)
		}
	}
}
