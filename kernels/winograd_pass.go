package kernels

import "unsafe"

// A winogradPass computes the maps of outputs from those of inputs: forward, or
// backward-data.
type winogradPass struct {
	isa        *isa
	taps       int // of the kernel, in each dimension
	k, o       int // channels of the input and output
	in         patches
	outH, outW int
	grid       grid

	// Weight tap (i, j) from k to o is w[k·kStep+o·oStep+taps·i+j], turned by 180° if
	// turned.
	kStep, oStep int
	turned       bool

	// u holds the transformed weights in panels of isa.cols outputs, [36][o][k][cols];
	// the last panel may be 16 wide. A point is uSize floats after the one before.
	u     []float32
	uSize int

	// Tiles are worked on in blocks of one of two kinds. Of up to fusedTiles, if that
	// is not 0, a task takes a block the whole way, panel by panel: what it transforms
	// stays in its core's cache, the weights stream past. Of up to blockTiles,
	// all threads work on one block: the weights are read once for many tiles.
	fusedTiles, blockTiles int

	paddedBias []float32

	// Of the call.
	pool         *Pool
	w            []float32
	y            Maps
	bias         []float32
	add          bool
	low          float32
	tiles        int // of all examples
	blocks       partition
	first, count int // tiles of the block in work
	memory       []float32
	v, m         planes
}

// Measured on a core with 1 MB of its own and 32 MB shared.
const (
	fusedFloats  = 176 << 10 // bounds what a task transforms of a fused block
	fusedInputs  = 256       // channels of the input, at most
	fusedWeights = 3 << 20   // floats of transformed weights, at most
	fusedBlocks  = 4         // at least; fewer tiles would read the weights too often
	blockFloats  = 2 << 20   // transformed tiles of a block, or half as many as weights
)

func (q *winogradPass) plan() {
	q.grid = newGrid(q.outH, q.outW, 7-q.taps)
	q.in.grid, q.in.size, q.in.form = q.grid, 6, inputs6
	q.uSize = q.k*round16(q.o) + 16
	q.paddedBias = Floats(round16(q.o))
	weights := winogradPoints * q.uSize
	q.blockTiles = q.wholeTiles(max(blockFloats, weights/2), q.k+q.o)
	if q.k <= fusedInputs && weights <= fusedWeights {
		q.fusedTiles = q.wholeTiles(fusedFloats, q.k+q.isa.cols)
	}
}

// wholeTiles is how many tiles of so many channels fit into floats, in whole rows
// of micro-kernels.
func (q *winogradPass) wholeTiles(floats, channels int) int {
	n := floats / (winogradPoints * (channels + 32))
	return max(n/q.isa.rows, 1) * q.isa.rows
}

func (q *winogradPass) panels() int { return (q.o + q.isa.cols - 1) / q.isa.cols }

// panelWidth is how many columns the panel from output o on has.
func (q *winogradPass) panelWidth(o int) int { return min(q.isa.cols, round16(q.o-o)) }

// inputPlanes and outputPlanes lay a block's transformed tiles into v.
func (q *winogradPass) inputPlanes(v []float32, tiles int) (m planes, rest []float32) {
	return newPlanes(v, tiles, q.k, round16(q.k), 16)
}

func (q *winogradPass) outputPlanes(v []float32, tiles int) (m planes, rest []float32) {
	return newPlanes(v, tiles, q.o, round16(q.o), 16)
}

// panelPlanes are those of the outputs of one panel.
func (q *winogradPass) panelPlanes(v []float32, tiles int) (m planes, rest []float32) {
	return newPlanes(v, tiles, q.isa.cols, q.isa.cols, 0)
}

func (q *winogradPass) fusedSpace(tiles int) int {
	return tileScratch + planesFloats(tiles, q.k, round16(q.k), 16) + planesFloats(tiles, q.isa.cols, q.isa.cols, 0)
}

func (q *winogradPass) blockSpace(tiles int) int {
	return planesFloats(tiles, q.k, round16(q.k), 16) + planesFloats(tiles, q.o, round16(q.o), 16)
}

func (q *winogradPass) bytes(n int) int {
	total := winogradPoints*q.uSize + len(q.paddedBias)
	if tiles := n * q.grid.tiles(); !q.fused(tiles) {
		total += q.blockSpace(min(q.blockTiles, tiles))
	}
	return 4 * total
}

// fused reports whether so many tiles go in fused blocks.
func (q *winogradPass) fused(tiles int) bool {
	return q.fusedTiles > 0 && tiles >= fusedBlocks*q.fusedTiles
}

// run computes y from x.
func (q *winogradPass) run(p *Pool, n int, x, y Maps) {
	q.pool, q.in.maps, q.y = p, x, y
	q.tiles = n * q.grid.tiles()
	if q.fused(q.tiles) {
		q.runFused()
	} else {
		q.runBlocks()
	}
	q.pool, q.in.maps, q.y, q.bias = nil, Maps{}, Maps{}, nil
}

func (q *winogradPass) runFused() {
	p := q.pool
	blocks := newPartition(q.tiles, q.fusedTiles).parts
	blocks = (blocks + p.threads - 1) / p.threads * p.threads
	q.blocks = partition{q.tiles, min(blocks, q.tiles)}
	p.reserve(q.fusedSpace((q.tiles + q.blocks.parts - 1) / q.blocks.parts))
	p.run(q.blocks.parts, (*winogradFused)(q))
}

func (q *winogradPass) runBlocks() {
	p := q.pool
	p.reserve(tileScratch)
	q.blocks = newPartition(q.tiles, q.blockTiles)
	q.memory = grow(q.memory, q.blockSpace(min(q.tiles, q.blockTiles)))
	for b := range q.blocks.parts {
		q.first, q.count = q.blocks.from(b), q.blocks.from(b+1)-q.blocks.from(b)
		rest := q.memory
		q.v, rest = q.inputPlanes(rest, q.count)
		q.m, _ = q.outputPlanes(rest, q.count)
		tasks := (q.count + transformTiles - 1) / transformTiles
		p.run(tasks, (*winogradInput)(q))
		p.run(winogradPoints*q.panels(), (*winogradProducts)(q))
		p.run(tasks, (*winogradOutput)(q))
	}
}

// transformTiles is how many tiles a task transforms.
const transformTiles = 4

// A winogradFused takes a block of tiles the whole way.
type winogradFused winogradPass

func (j *winogradFused) do(thread, task int) {
	q := (*winogradPass)(j)
	first, end := q.blocks.from(task), q.blocks.from(task+1)
	l, rest := &q.pool.locals[thread], q.pool.space(thread, q.fusedSpace(end-first))
	scratch, rest := rest[:tileScratch], rest[tileScratch:]
	inputs, rest := q.inputPlanes(rest, end-first)
	outputs, _ := q.panelPlanes(rest, end-first)
	q.in.transform(q.isa, l, scratch, first, end, &inputs, 0)
	v, m := inputs.block(0), outputs.block(0)
	for o := 0; o < q.o; o += q.isa.cols {
		for point := range winogradPoints {
			q.multiply(&l.tile, point, o, end-first, &v, &m, 0)
		}
		q.output(l, scratch, first, end, o, q.panelWidth(o), &m, 0)
	}
}

// A winogradInput transforms some tiles of the block.
type winogradInput winogradPass

func (j *winogradInput) do(thread, task int) {
	q := (*winogradPass)(j)
	row, end := task*transformTiles, min((task+1)*transformTiles, q.count)
	q.in.transform(q.isa, &q.pool.locals[thread], q.pool.space(thread, tileScratch), q.first+row, q.first+end, &q.v, row)
}

// A winogradProducts multiplies at a point, for a panel.
type winogradProducts winogradPass

func (j *winogradProducts) do(thread, task int) {
	q := (*winogradPass)(j)
	v, m := q.v.block(0), q.m.block(0)
	o := task % q.panels() * q.isa.cols
	q.multiply(&q.pool.locals[thread].tile, task/q.panels(), o, q.count, &v, &m, o)
}

// A winogradOutput transforms the outputs of some tiles of the block.
type winogradOutput winogradPass

func (j *winogradOutput) do(thread, task int) {
	q := (*winogradPass)(j)
	row, end := task*transformTiles, min((task+1)*transformTiles, q.count)
	m := q.m.block(0)
	q.output(&q.pool.locals[thread], q.pool.space(thread, tileScratch), q.first+row, q.first+end, 0, round16(q.o), &m, row)
}

// multiply computes the products of some tiles with the panel of outputs from o on
// at a point; they go to m from column on.
func (q *winogradPass) multiply(t *tile, point, o, tiles int, v, m *planeBlock, column int) {
	width := q.panelWidth(o)
	u := q.u[point*q.uSize+o*q.k:]
	pieces, rows := newPartition(q.k, channelChain), newPartition(tiles, q.isa.rows)
	*t = tile{
		aRow: uintptr(4 * v.pitch), bStep: uintptr(4 * width),
		cRow: uintptr(4 * m.pitch), initRow: uintptr(4 * m.pitch), segs: 1, low: noLow,
	}
	for i := range pieces.parts {
		k := pieces.from(i)
		t.b, t.k = unsafe.Pointer(&u[k*width]), uintptr(pieces.from(i+1)-k)
		for b := range rows.parts {
			row := rows.from(b)
			t.a, t.c = v.at(point, row, k), m.at(point, row, column)
			if i > 0 {
				t.init = t.c
			}
			q.isa.tileRows[width/16][rows.from(b+1)-row](t)
		}
	}
	*t = tile{}
}

// output transforms the tiles from first to end, rows row… of m, to the outputs
// from o on, as many as m has in width columns.
func (q *winogradPass) output(l *local, scratch []float32, first, end, o, width int, m *planeBlock, row int) {
	step := q.grid.step
	f, t := q.isa.transforms[outputs2+step-2], &l.transform
	*t = transform{
		temp: unsafe.Pointer(&scratch[0]), constants: &winogradTable, low: q.low,
		srcRow: uintptr(4 * 6 * m.size), srcColumn: uintptr(4 * m.size),
	}
	patch := scratch[transformTemp:][:patchSize]
	for tile := first; tile < end; tile++ {
		example, y, x := q.grid.place(tile)
		pixel := (example*q.outH+y)*q.outW + x
		rows, columns := min(step, q.outH-y), min(step, q.outW-x)
		if rows == step && columns == step && o+width <= q.o {
			t.dst, t.dstRow, t.dstColumn = q.y.at(pixel, o), uintptr(4*q.outW*q.y.Pitch), uintptr(4*q.y.Pitch)
			t.src, t.groups = m.at(0, row+tile-first, 0), uintptr(width/16)
			q.setInit(t, o)
			f(t)
			continue
		}
		t.dst, t.dstRow, t.dstColumn = unsafe.Pointer(&patch[0]), uintptr(4*step*patchChannels), 4*patchChannels
		for c := 0; c < width; c += patchChannels {
			n := min(patchChannels, width-c)
			t.src, t.groups = m.at(0, row+tile-first, c), uintptr(n/16)
			q.setInit(t, o+c)
			present := min(n, q.o-o-c)
			if q.add {
				q.exchange(patch, pixel, rows, columns, o+c, present, true)
			}
			f(t)
			q.exchange(patch, pixel, rows, columns, o+c, present, false)
		}
	}
	*t = transform{}
}

// setInit says what is added to outputs from channel c on.
func (q *winogradPass) setInit(t *transform, c int) {
	if q.add {
		t.init, t.initRow, t.initColumn = t.dst, t.dstRow, t.dstColumn
	} else if q.bias != nil {
		t.init = unsafe.Pointer(&q.bias[c])
	}
}

// exchange copies n channels from c on of rows×columns pixels of y to a patch, or
// back.
func (q *winogradPass) exchange(patch []float32, pixel, rows, columns, c, n int, toPatch bool) {
	for i := range rows {
		for j := range columns {
			a := patch[(i*q.grid.step+j)*patchChannels:][:n]
			b := q.y.V[(pixel+i*q.outW+j)*q.y.Pitch+c:][:n]
			if toPatch {
				copy(a, b)
			} else {
				copy(b, a)
			}
		}
	}
}
