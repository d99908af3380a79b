package kernels

import "unsafe"

// A winogradGradient is backward-weights. The tiles of x and gy are transformed
// for a block of pieces, then each task computes the sums of some rows c of a
// panel of outputs o: all 36 points of them, so that they can be transformed and
// added up in the tree without leaving the core's cache.
type winogradGradient struct {
	s           Conv
	isa         *isa
	x, gy       patches
	blockFloats int // bounds the transformed tiles of a block

	// Of the call.
	pool   *Pool
	pieces []winogradPiece
	block  []winogradPiece
	cuts   []int
	gw     []float32
	last   bool // block is the last
	split  int  // into how many tasks a block of rows and a panel are cut
	memory []float32
	sums   []float32 // what outlives a block of each task's

	keptPoints, keptStacks int // floats of a task's sums in it
	v, d                   planes
	bias                   biasGradient
}

// A winogradPiece is some tiles whose products make one chain.
type winogradPiece struct {
	first, tiles  int
	opens, closes bool // the first and last of a micro-batch
	depth         int  // of the stack of sums, before
	additions     int  // due after it closes
}

// gradientGroups is how many groups of 16 input channels a task has at most.
const gradientGroups = 4

// gradientFloats is a plan's blockFloats.
const gradientFloats = 3 << 19

func newWinogradGradient(s Conv) winogradGradient {
	grid := newGrid(s.OutH(), s.OutW(), 7-s.KH)
	return winogradGradient{
		bias: biasGradient{s: s, isa: active},
		s:    s, isa: active, blockFloats: gradientFloats,
		x: patches{c: s.C, h: s.H, w: s.W, padH: s.PadH, padW: s.PadW, grid: grid, size: 6, form: inputs6},
		gy: patches{
			c: s.O, h: s.OutH(), w: s.OutW(), grid: grid,
			size: grid.step, form: kernel2 + grid.step - 2,
		},
	}
}

func (g *winogradGradient) panels() int { return (g.s.O + g.isa.cols - 1) / g.isa.cols }

// blockRows is how many input channels the tiles of x are blocked by.
func (g *winogradGradient) blockRows() int {
	groups := newPartition(round16(g.s.C)/16, gradientGroups)
	return 16 * ((groups.n + groups.parts - 1) / groups.parts)
}

// sumSize is the floats of a task's sums at a point or tap.
func (g *winogradGradient) sumSize() int { return (g.blockRows()+g.split-1)/g.split*g.isa.cols + 16 }

// stackSize is the floats of a task's stack of sums of taps.
func (g *winogradGradient) stackSize() int {
	return stackDepth(g.cuts) * g.s.KH * g.s.KW * g.sumSize()
}

func (g *winogradGradient) pointsSize() int { return winogradPoints * g.sumSize() }

func (g *winogradGradient) tileFloats() int {
	return winogradPoints * (round16(g.s.C) + round16(g.s.O))
}

func (g *winogradGradient) blockTiles() int { return max(g.blockFloats/g.tileFloats(), 1) }

func (g *winogradGradient) bytes(cuts []int) int {
	g.cuts, g.split = cuts, 1
	g.cut()
	points, stacks := g.kept()
	largest := 0
	for rest := g.pieces; len(rest) > 0; {
		g.block, rest = g.nextBlock(rest)
		largest = max(largest, g.planesFloats(g.blockSize()))
	}
	g.cuts, g.block = nil, nil
	tasks := (g.s.C + g.blockRows() - 1) / g.blockRows() * g.panels()
	return 4 * (largest + tasks*(points+stacks))
}

// planesFloats is the floats of a block's transformed tiles.
func (g *winogradGradient) planesFloats(tiles int) int {
	return planesFloats(tiles, g.s.C, g.blockRows(), 0) + planesFloats(tiles, g.s.O, g.isa.cols, 0)
}

// run computes gw and gb.
func (g *winogradGradient) run(p *Pool, x, gy Maps, cuts []int, gw, gb []float32) {
	g.pool, g.x.maps, g.gy.maps, g.cuts, g.gw = p, x, gy, cuts, gw
	g.cut()
	tasks := g.divide(p)
	g.placeSums(tasks)
	for rest := g.pieces; len(rest) > 0; {
		g.block, rest = g.nextBlock(rest)
		g.last = len(rest) == 0
		tiles := g.blockSize()
		rows, cols := g.blockRows(), g.isa.cols
		g.memory = grow(g.memory, g.planesFloats(tiles))
		var memory []float32
		g.v, memory = newPlanes(g.memory, tiles, g.s.C, rows, 0)
		g.d, _ = newPlanes(memory, tiles, g.s.O, cols, 0)
		p.run((tiles+transformTiles-1)/transformTiles, (*winogradTiles)(g))
		p.run(tasks, (*winogradSums)(g))
	}
	if gb != nil {
		g.bias.run(p, gy, cuts, gb)
	}
	g.pool, g.x.maps, g.gy.maps, g.cuts, g.gw, g.block = nil, Maps{}, Maps{}, nil, nil, nil
}

// divide returns the number of tasks; blocks of rows are split for small weights,
// so that no thread stays idle.
func (g *winogradGradient) divide(p *Pool) int {
	rows := g.blockRows()
	blocks := (g.s.C + rows - 1) / rows * g.panels()
	g.split = p.parts(blocks, (rows+g.isa.rows-1)/g.isa.rows)
	return blocks * g.split
}

// placeSums makes room for sums: in a thread's scratch, but in the plan's memory
// where they outlive a block.
func (g *winogradGradient) placeSums(tasks int) {
	g.keptPoints, g.keptStacks = g.kept()
	scratch := transformTemp + g.pointsSize() - g.keptPoints + g.stackSize() - g.keptStacks
	g.pool.reserve(max(tileScratch, scratch))
	g.sums = grow(g.sums, tasks*(g.keptPoints+g.keptStacks))
}

// kept is the floats of a task's sums that outlive a block: those at the points
// where a block ends within a micro-batch, and the stack where there are more
// blocks than one.
func (g *winogradGradient) kept() (points, stacks int) {
	blocks := 0
	for rest := g.pieces; len(rest) > 0; blocks++ {
		var block []winogradPiece
		if block, rest = g.nextBlock(rest); !block[len(block)-1].closes {
			points = g.pointsSize()
		}
	}
	if blocks > 1 {
		stacks = g.stackSize()
	}
	return points, stacks
}

// cut lists the pieces of the call.
func (g *winogradGradient) cut() {
	g.pieces = g.pieces[:0]
	tiles := g.x.grid.tiles()
	var order treeOrder
	depth := 0
	for m := range len(g.cuts) - 1 {
		low, high := g.cuts[m], g.cuts[m+1]
		begin := len(g.pieces)
		if tiles <= tileChain {
			for e := low; e < high; e += tileChain / tiles {
				g.pieces = append(g.pieces, winogradPiece{first: e * tiles, tiles: min(tileChain/tiles, high-e) * tiles, depth: depth})
			}
		} else {
			parts := newPartition(tiles, tileChain)
			for e := low; e < high; e++ {
				for i := range parts.parts {
					g.pieces = append(g.pieces, winogradPiece{first: e*tiles + parts.from(i), tiles: parts.from(i+1) - parts.from(i), depth: depth})
				}
			}
		}
		additions := order.after(low < high)
		if low < high {
			g.pieces[begin].opens = true
			g.pieces[len(g.pieces)-1].closes = true
			depth++
		}
		if additions > 0 { // an absent micro-batch may complete a block
			g.pieces[len(g.pieces)-1].additions += additions
			depth -= additions
		}
	}
}

// nextBlock takes the pieces of a block off pieces: whole micro-batches, or some
// of one that is too large.
func (g *winogradGradient) nextBlock(pieces []winogradPiece) (block, rest []winogradPiece) {
	limit, n, tiles, whole := g.blockTiles(), 0, 0, 0
	for n < len(pieces) && (n == 0 || tiles+pieces[n].tiles <= limit) {
		tiles += pieces[n].tiles
		n++
		if pieces[n-1].closes {
			whole = n
		}
	}
	if whole > 0 {
		n = whole
	}
	return pieces[:n], pieces[n:]
}

// blockSize is the number of tiles of the block.
func (g *winogradGradient) blockSize() int {
	last := g.block[len(g.block)-1]
	return last.first + last.tiles - g.block[0].first
}

// A winogradTiles transforms some tiles of x and gy.
type winogradTiles winogradGradient

func (j *winogradTiles) do(thread, task int) {
	g := (*winogradGradient)(j)
	first := g.block[0].first
	row, end := task*transformTiles, min((task+1)*transformTiles, g.blockSize())
	l, scratch := &g.pool.locals[thread], g.pool.space(thread, tileScratch)
	g.x.transform(g.isa, l, scratch, first+row, first+end, &g.v, row)
	g.gy.transform(g.isa, l, scratch, first+row, first+end, &g.d, row)
}

// A winogradSums adds a block to some rows of a panel, and writes the gradients
// after the last block.
type winogradSums winogradGradient

func (j *winogradSums) do(thread, task int) {
	g := (*winogradGradient)(j)
	s := g.sum(thread, task)
	if s.rows == 0 {
		return
	}
	l := &g.pool.locals[thread]
	for rest := g.block; len(rest) > 0; {
		n := 1
		for n < len(rest) && !rest[n].opens {
			n++
		}
		g.multiply(&l.tile, &s, rest[:n])
		if end := rest[n-1]; end.closes {
			g.push(l, &s, end)
		}
		rest = rest[n:]
	}
	if g.last {
		g.write(&s)
	}
}

// sum is the sums of a task.
func (g *winogradGradient) sum(thread, task int) winogradSum {
	panel, part, block := task%g.panels(), task/g.panels()%g.split, task/g.panels()/g.split
	s := winogradSum{o: panel * g.isa.cols, block: block * g.blockRows()}
	rows := partition{min(g.blockRows(), g.s.C-s.block), g.split}
	s.c, s.rows = s.block+rows.from(part), rows.from(part+1)-rows.from(part)
	s.width = min(g.isa.cols, round16(g.s.O-s.o))
	scratch := g.pool.space(thread, transformTemp+g.pointsSize()-g.keptPoints+g.stackSize()-g.keptStacks)
	kept := g.sums[task*(g.keptPoints+g.keptStacks):]
	s.temp, scratch = scratch[:transformTemp], scratch[transformTemp:]
	s.points, s.stack = scratch, scratch[g.pointsSize()-g.keptPoints:]
	if g.keptPoints > 0 {
		s.points = kept
	}
	if g.keptStacks > 0 {
		s.stack = kept[g.keptPoints:]
	}
	return s
}

// A winogradSum is the sums of a task: rows input channels from c on, in the block
// of channels that begins at block, and a panel of outputs from o on.
type winogradSum struct {
	block    int
	c, rows  int
	o, width int
	points   []float32 // [36][rows][width]
	stack    []float32 // [depth][taps][rows][width]
	temp     []float32 // of transforms
}

// multiply adds pieces of a micro-batch to the sums at all points.
func (g *winogradGradient) multiply(t *tile, s *winogradSum, pieces []winogradPiece) {
	size, rows := g.sumSize(), newPartition(s.rows, g.isa.rows)
	v, d := g.v.block(s.block), g.d.block(s.o)
	*t = tile{
		aStep: uintptr(4 * v.pitch), bStep: uintptr(4 * d.pitch),
		cRow: uintptr(4 * s.width), initRow: uintptr(4 * s.width), segs: 1, low: noLow,
	}
	for point := range winogradPoints {
		for _, p := range pieces {
			row := p.first - g.block[0].first
			t.b, t.k = d.at(point, row, 0), uintptr(p.tiles)
			for i := range rows.parts {
				r := rows.from(i)
				t.a, t.c, t.init = v.at(point, row, s.c-s.block+r), unsafe.Pointer(&s.points[point*size+r*s.width]), nil
				if !p.opens {
					t.init = t.c
				}
				g.isa.tileColumns[s.width/16][rows.from(i+1)-r](t)
			}
		}
	}
	*t = tile{}
}

// push transforms a micro-batch's sums to taps and puts them on the stack.
func (g *winogradGradient) push(l *local, s *winogradSum, end winogradPiece) {
	k, size := g.s.KH, g.sumSize()
	taps := func(depth int) []float32 { return s.stack[depth*k*k*size:][:k*k*size] }
	top, t := end.depth, &l.transform
	*t = transform{
		src: unsafe.Pointer(&s.points[0]), srcRow: uintptr(4 * 6 * size), srcColumn: uintptr(4 * size),
		dst: unsafe.Pointer(&taps(top)[0]), dstRow: uintptr(4 * k * size), dstColumn: uintptr(4 * size),
		temp: unsafe.Pointer(&s.temp[0]), constants: &winogradTable,
		groups: uintptr(s.rows * s.width / 16),
	}
	g.isa.transforms[outputs2+k-2](t)
	*t = transform{}
	for range end.additions {
		g.isa.addTo(l, taps(top-1), taps(top))
		top--
	}
}

// write gives the gradients out of the stack.
func (g *winogradGradient) write(s *winogradSum) {
	n, size := g.s.KH*g.s.KW, g.sumSize()
	for o := range min(s.width, g.s.O-s.o) {
		dst := g.gw[((s.o+o)*g.s.C+s.c)*n:][:s.rows*n]
		for r := range s.rows {
			for tap := range n {
				dst[r*n+tap] = s.stack[tap*size+r*s.width+o]
			}
		}
	}
}
