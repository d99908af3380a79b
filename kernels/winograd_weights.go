package kernels

import "unsafe"

// A winogradGradient is backward-weights. The tiles of x and gy are transformed
// for a block of pieces, then each task computes the sums of some rows c of a
// panel of outputs o: all 36 points of them, so that they can be transformed and
// added up in the tree without leaving the core's cache.
type winogradGradient struct {
	s     Conv
	isa   *isa
	x, gy patches
	rows  partition // of input channels, one a task

	blockFloats int // bounds the transformed tiles of a block

	// Of the call.
	pool   *Pool
	pieces []winogradPiece
	block  []winogradPiece
	cuts   []int
	gw     []float32
	last   bool // block is the last
	shared bool // there are several blocks: sums outlive a block, in memory
	memory []float32
	sums   []float32
	v, d   planes
	bias   biasGradient
}

// A winogradPiece is some tiles whose products make one chain.
type winogradPiece struct {
	first, tiles  int
	opens, closes bool // the first and last of a micro-batch
	depth         int  // of the stack of sums, before
	additions     int  // due after it closes
}

// gradientRows is how many input channels a task has at most, in largest tiles.
const gradientRows = 4

// gradientFloats is a plan's blockFloats.
const gradientFloats = 6 << 20

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

// sumSize is the floats of a task's sums at a point or tap.
func (g *winogradGradient) sumSize() int { return g.rows.from(1)*g.isa.cols + g.isa.cols + 16 }

// taskSpace is the floats of a task's sums: at the points, and a stack of those of
// taps.
func (g *winogradGradient) taskSpace() int {
	return (winogradPoints + stackDepth(g.cuts)*g.s.KH*g.s.KW) * g.sumSize()
}

func (g *winogradGradient) tileFloats() int {
	return winogradPoints * (planesPitch(g.s.C) + planesPitch(g.s.O))
}

func (g *winogradGradient) blockTiles() int { return max(g.blockFloats/g.tileFloats(), 1) }

func (g *winogradGradient) bytes(n int) int {
	tiles := min(g.x.grid.tiles()*n, max(g.blockTiles(), piece))
	return 4 * (tiles*g.tileFloats() + 2*winogradPoints*16)
}

// run computes gw and gb.
func (g *winogradGradient) run(p *Pool, x, gy Maps, cuts []int, gw, gb []float32) {
	g.pool, g.x.maps, g.gy.maps, g.cuts, g.gw = p, x, gy, cuts, gw
	g.rows = g.divide(p.threads)
	g.cut()
	blocks := g.countBlocks()
	g.shared = blocks > 1
	tasks := g.rows.parts * g.panels()
	if g.shared {
		p.reserve(tileScratch)
		g.sums = grow(g.sums, tasks*g.taskSpace())
	} else {
		p.reserve(max(tileScratch, transformTemp+g.taskSpace()))
	}
	for rest := g.pieces; len(rest) > 0; {
		g.block, rest = g.nextBlock(rest)
		g.last = len(rest) == 0
		tiles := g.blockSize()
		g.memory = grow(g.memory, planesFloats(tiles, g.s.C)+planesFloats(tiles, g.s.O))
		var memory []float32
		g.v, memory = newPlanes(g.memory, tiles, g.s.C)
		g.d, _ = newPlanes(memory, tiles, g.s.O)
		p.run((tiles+transformTiles-1)/transformTiles, (*winogradTiles)(g))
		p.run(tasks, (*winogradSums)(g))
	}
	if gb != nil {
		g.bias.run(p, gy, cuts, gb)
	}
	g.pool, g.x.maps, g.gy.maps, g.cuts, g.gw, g.block = nil, Maps{}, Maps{}, nil, nil, nil
}

// divide cuts the input channels into tasks: large ones read the tiles of gy less
// often, but no thread may stay idle.
func (g *winogradGradient) divide(threads int) partition {
	rows := newPartition(g.s.C, gradientRows*g.isa.rows)
	for rows.parts*g.panels() < 4*threads && rows.from(1) > g.isa.rows {
		rows.parts++
	}
	return rows
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
		if tiles <= piece {
			for e := low; e < high; e += piece / tiles {
				g.pieces = append(g.pieces, winogradPiece{first: e * tiles, tiles: min(piece/tiles, high-e) * tiles, depth: depth})
			}
		} else {
			parts := newPartition(tiles, piece)
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

// nextBlock takes the pieces of a block off pieces.
func (g *winogradGradient) nextBlock(pieces []winogradPiece) (block, rest []winogradPiece) {
	limit, n, tiles := g.blockTiles(), 0, 0
	for n < len(pieces) && (n == 0 || tiles+pieces[n].tiles <= limit) {
		tiles += pieces[n].tiles
		n++
	}
	return pieces[:n], pieces[n:]
}

func (g *winogradGradient) countBlocks() (n int) {
	for rest := g.pieces; len(rest) > 0; n++ {
		_, rest = g.nextBlock(rest)
	}
	return n
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
	temp := g.pool.space(thread, transformTemp)
	var space []float32
	if g.shared {
		space = g.sums[task*g.taskSpace():][:g.taskSpace()]
	} else {
		space = g.pool.space(thread, transformTemp+g.taskSpace())[transformTemp:]
	}
	s := winogradSum{
		c: g.rows.from(task / g.panels()), o: task % g.panels() * g.isa.cols,
		points: space[:winogradPoints*g.sumSize()], stack: space[winogradPoints*g.sumSize():],
	}
	s.rows = g.rows.from(task/g.panels()+1) - s.c
	s.width = min(g.isa.cols, round16(g.s.O-s.o))
	l := &g.pool.locals[thread]
	for rest := g.block; len(rest) > 0; {
		n := 1
		for n < len(rest) && !rest[n].opens {
			n++
		}
		g.multiply(&l.tile, &s, rest[:n])
		if end := rest[n-1]; end.closes {
			g.push(&l.transform, temp, &s, end)
		}
		rest = rest[n:]
	}
	if g.last {
		g.write(&s)
	}
}

// A winogradSum is the sums of a task: rows input channels from c on, a panel of
// outputs from o on.
type winogradSum struct {
	c, rows  int
	o, width int
	points   []float32 // [36][rows][width]
	stack    []float32 // [depth][taps][rows][width]
}

// multiply adds pieces of a micro-batch to the sums at all points.
func (g *winogradGradient) multiply(t *tile, s *winogradSum, pieces []winogradPiece) {
	size, rows := g.sumSize(), newPartition(s.rows, g.isa.rows)
	*t = tile{
		aStep: uintptr(4 * g.v.pitch), bStep: uintptr(4 * g.d.pitch),
		cRow: uintptr(4 * s.width), initRow: uintptr(4 * s.width), segs: 1, low: noLow,
	}
	for point := range winogradPoints {
		for _, p := range pieces {
			row := p.first - g.block[0].first
			t.b, t.k = g.d.at(point, row, s.o), uintptr(p.tiles)
			for i := range rows.parts {
				r := rows.from(i)
				t.a, t.c, t.init = g.v.at(point, row, s.c+r), unsafe.Pointer(&s.points[point*size+r*s.width]), nil
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
func (g *winogradGradient) push(t *transform, temp []float32, s *winogradSum, end winogradPiece) {
	k, size := g.s.KH, g.sumSize()
	taps := func(depth int) []float32 { return s.stack[depth*k*k*size:][:k*k*size] }
	top := end.depth
	*t = transform{
		src: unsafe.Pointer(&s.points[0]), srcRow: uintptr(4 * 6 * size), srcColumn: uintptr(4 * size),
		dst: unsafe.Pointer(&taps(top)[0]), dstRow: uintptr(4 * k * size), dstColumn: uintptr(4 * size),
		temp: unsafe.Pointer(&temp[0]), constants: &winogradTable,
		groups: uintptr(s.rows * s.width / 16),
	}
	g.isa.transforms[outputs2+k-2](t)
	*t = transform{}
	for range end.additions {
		addTo(taps(top-1), taps(top))
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
