package main

// Offsets in the structs laneBlocks and laneFold of package kernels.
const (
	laneBlocksExamples = 8 * iota
	_
	_
	_
	laneBlocksExampleSkip
	laneBlocksLanes
	laneBlocksLanesSkip
	laneBlocksRows
	laneBlocksCols
)

const (
	laneFoldX = 8 * iota
	laneFoldY
	laneFoldN
)

// pairs4 does d = the sums of x's and then of y's two pairs of neighbours.
func (a *asm) pairs4(d, x, y vec) {
	if a.arm() {
		a.word(0x6e20d400, d, x, y) // FADDP
	} else {
		a.line("VHADDPS X%d, X%d, X%d", y, x, d)
	}
}

// laneBlocks emits a loop over blocks of 4×4 that transposes them.
func laneBlocks(a *asm, load bool) {
	var examples []ptr
	for i := range 4 {
		examples = append(examples, a.argument(laneBlocksExamples+8*i))
	}
	lanes, rows := a.argument(laneBlocksLanes), a.argument(laneBlocksRows)
	exampleSkip, lanesSkip := a.argument(laneBlocksExampleSkip), a.argument(laneBlocksLanesSkip)
	cols, v := a.pointer(), a.take(4)
	block := func() {
		for i, p := range examples {
			if load {
				a.load4(v[i], at(p, 0))
			} else {
				a.load4(v[i], at(lanes, laneBytes*i))
			}
		}
		a.transpose4(v)
		for i, p := range examples {
			if load {
				a.store4(v[i], at(lanes, laneBytes*i))
			} else {
				a.store4(v[i], at(p, 0))
			}
		}
		for _, p := range examples {
			a.addConst(p, 16)
		}
		a.addConst(lanes, 4*laneBytes)
	}
	a.loop(rows, func() {
		a.loadPointer(cols, a.args, laneBlocksCols)
		a.loop(cols, block)
		for _, p := range examples {
			a.add(p, exampleSkip)
		}
		a.add(lanes, lanesSkip)
	})
}

// laneFold emits a loop that sums some lanes of four vectors as binary trees.
func laneFold(a *asm, lanes int) {
	x, y, n := a.argument(laneFoldX), a.argument(laneFoldY), a.argument(laneFoldN)
	rows := make([][]vec, 4)
	for i := range rows {
		rows[i] = a.take(lanes / 4)
	}
	again := a.label()
	a.place(again)
	for i, row := range rows {
		for j, v := range row {
			a.load4(v, at(x, laneBytes*i+16*j))
		}
		for n := len(row); n > 1; n /= 2 {
			for j := range n / 2 {
				a.pairs4(row[j], row[2*j], row[2*j+1])
			}
		}
	}
	// Four sums are left of each vector.
	a.pairs4(rows[0][0], rows[0][0], rows[1][0])
	a.pairs4(rows[2][0], rows[2][0], rows[3][0])
	a.pairs4(rows[0][0], rows[0][0], rows[2][0])
	a.store4(rows[0][0], at(y, 0))
	a.addConst(x, 4*laneBytes)
	a.addConst(y, 16)
	a.countDown(n, 4, again, true)
}

// laneFetch emits a loop that brings vectors of 16 lanes into the second cache.
func laneFetch(a *asm) {
	x, n := a.argument(laneFoldX), a.argument(laneFoldN)
	a.loop(n, func() {
		a.prefetchSecond(at(x, 0))
		a.addConst(x, laneBytes)
	})
}
