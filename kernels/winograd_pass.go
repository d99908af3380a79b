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

	// Where fused, a task takes a block of tiles the whole way: if the transformed
	// weights, which each block reads, and what a task holds stay in its core's
	// cache. Otherwise all threads work on one block.
	fused       bool
	blockFloats int // bounds the transformed tiles of a block

	paddedBias []float32

	// Of the call.
	pool         *Pool
	w            []float32
	y            Maps
	bias         []float32
	add          bool
	low          float32
	tiles        int // of all examples
	block        int // tiles of a block at most
	blocks       partition
	first, count int // tiles of the block in work
	memory       []float32
	v, m         planes
}

const (
	fusedWeights     = 256 << 10 // floats of transformed weights
	fusedBlockFloats = 128 << 10
	blockFloats      = 2 << 20
)

func (q *winogradPass) plan() {
	q.grid = newGrid(q.outH, q.outW, 7-q.taps)
	q.in.grid, q.in.size, q.in.form = q.grid, 6, inputs6
	q.uSize = q.k*round16(q.o) + 16
	q.paddedBias = Floats(round16(q.o))
	q.fused, q.blockFloats = winogradPoints*q.uSize <= fusedWeights, blockFloats
	if q.fused {
		q.blockFloats = fusedBlockFloats
	}
}

func (q *winogradPass) panels() int { return (q.o + q.isa.cols - 1) / q.isa.cols }

// panelWidth is how many columns the panel from output o on has.
func (q *winogradPass) panelWidth(o int) int { return min(q.isa.cols, round16(q.o-o)) }

// blockTiles is how many tiles make a block.
func (q *winogradPass) blockTiles() int {
	n := q.blockFloats / (winogradPoints * (round16(q.k) + round16(q.o) + 32))
	return max(n/q.isa.rows, 2) * q.isa.rows
}

// blockSpace is the floats of a block's planes.
func (q *winogradPass) blockSpace() int {
	return planesFloats(q.block, q.k, round16(q.k), 16) + planesFloats(q.block, q.o, round16(q.o), 16)
}

func (q *winogradPass) bytes(n int) int {
	total := winogradPoints*q.uSize + len(q.paddedBias)
	if !q.fused {
		q.block = min(q.blockTiles(), n*q.grid.tiles())
		total += q.blockSpace()
	}
	return 4 * total
}

// run computes y from x.
func (q *winogradPass) run(p *Pool, n int, x, y Maps) {
	q.pool, q.in.maps, q.y = p, x, y
	q.tiles = n * q.grid.tiles()
	q.block = min(q.blockTiles(), q.tiles)
	if q.fused {
		q.block = max(1, min(q.block, q.tiles/(4*p.threads)))
	}
	q.blocks = newPartition(q.tiles, q.block)
	if q.fused {
		p.reserve(tileScratch + q.blockSpace())
		p.run(q.blocks.parts, (*winogradFused)(q))
	} else {
		q.runBlocks()
	}
	q.pool, q.in.maps, q.y, q.bias = nil, Maps{}, Maps{}, nil
}

func (q *winogradPass) runBlocks() {
	p := q.pool
	p.reserve(tileScratch)
	q.memory = grow(q.memory, q.blockSpace())
	for b := range q.blocks.parts {
		q.first, q.count = q.blocks.from(b), q.blocks.from(b+1)-q.blocks.from(b)
		rest := q.memory
		q.v, rest = newPlanes(rest, q.count, q.k, round16(q.k), 16)
		q.m, _ = newPlanes(rest, q.count, q.o, round16(q.o), 16)
		tasks := (q.count + transformTiles - 1) / transformTiles
		p.run(tasks, (*winogradInput)(q))
		p.run(winogradPoints*q.panels(), (*winogradProducts)(q))
		p.run(tasks, (*winogradOutput)(q))
	}
}

// transformTiles is how many tiles a task transforms.
const transformTiles = 8

// A winogradFused takes a block of tiles the whole way.
type winogradFused winogradPass

func (j *winogradFused) do(thread, task int) {
	q := (*winogradPass)(j)
	first, end := q.blocks.from(task), q.blocks.from(task+1)
	l, rest := &q.pool.locals[thread], q.pool.space(thread, tileScratch+q.blockSpace())
	scratch, rest := rest[:tileScratch], rest[tileScratch:]
	v, rest := newPlanes(rest, end-first, q.k, round16(q.k), 16)
	m, _ := newPlanes(rest, end-first, q.o, round16(q.o), 16)
	q.in.transform(q.isa, l, scratch, first, end, &v, 0)
	for point := range winogradPoints {
		for panel := range q.panels() {
			q.multiply(&l.tile, point, panel, &v, &m)
		}
	}
	q.output(l, scratch, first, end, &m, 0)
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
	q.multiply(&q.pool.locals[thread].tile, task/q.panels(), task%q.panels(), &q.v, &q.m)
}

// A winogradOutput transforms the outputs of some tiles of the block.
type winogradOutput winogradPass

func (j *winogradOutput) do(thread, task int) {
	q := (*winogradPass)(j)
	row, end := task*transformTiles, min((task+1)*transformTiles, q.count)
	q.output(&q.pool.locals[thread], q.pool.space(thread, tileScratch), q.first+row, q.first+end, &q.m, row)
}

// multiply computes a panel of m at a point.
func (q *winogradPass) multiply(t *tile, point, panel int, inputs, outputs *planes) {
	v, m := inputs.block(0), outputs.block(0)
	o := panel * q.isa.cols
	width := q.panelWidth(o)
	u := q.u[point*q.uSize+o*q.k:]
	pieces, rows := newPartition(q.k, piece), newPartition(inputs.tiles, q.isa.rows)
	*t = tile{
		aRow: uintptr(4 * v.pitch), bStep: uintptr(4 * width),
		cRow: uintptr(4 * m.pitch), initRow: uintptr(4 * m.pitch), segs: 1, low: noLow,
	}
	for i := range pieces.parts {
		k := pieces.from(i)
		t.b, t.k = unsafe.Pointer(&u[k*width]), uintptr(pieces.from(i+1)-k)
		for b := range rows.parts {
			row := rows.from(b)
			t.a, t.c = v.at(point, row, k), m.at(point, row, o)
			if i > 0 {
				t.init = t.c
			}
			q.isa.tileRows[width/16][rows.from(b+1)-row](t)
		}
	}
	*t = tile{}
}

// output transforms the tiles from first to end, rows row… of m, to y.
func (q *winogradPass) output(l *local, scratch []float32, first, end int, outputs *planes, row int) {
	m := outputs.block(0)
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
		if y+step <= q.outH && x+step <= q.outW && q.o%16 == 0 {
			t.dst, t.dstRow, t.dstColumn = q.y.at(pixel, 0), uintptr(4*q.outW*q.y.Pitch), uintptr(4*q.y.Pitch)
			t.src, t.groups = m.at(0, row+tile-first, 0), uintptr(q.o/16)
			q.setInit(t, 0)
			f(t)
			continue
		}
		t.dst, t.dstRow, t.dstColumn = unsafe.Pointer(&patch[0]), uintptr(4*step*patchChannels), 4*patchChannels
		rows, columns := min(step, q.outH-y), min(step, q.outW-x)
		for c := 0; c < q.o; c += patchChannels {
			n := min(patchChannels, q.o-c)
			t.src, t.groups = m.at(0, row+tile-first, c), uintptr(round16(n)/16)
			q.setInit(t, c)
			if q.add {
				q.exchange(patch, pixel, rows, columns, c, n, true)
			}
			f(t)
			q.exchange(patch, pixel, rows, columns, c, n, false)
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
