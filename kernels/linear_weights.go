package kernels

import "unsafe"

// treeChunk is how many columns a call of a tree kernel goes over, a multiple of
// 16, when its sums have n products: as many as leave B in a core's cache, since a
// row of C is written in that many pieces, which memory likes to be long. With many
// products there are few, since nothing interrupts a call.
func treeChunk(n int) int {
	return max(16, min(max(treeFloats/n, min(128, treeProducts/n)), 2048)&^15)
}

const (
	treeFloats   = 16 << 10
	treeProducts = 256 << 10 // of a row, in some 30 µs
)

// streamFloats is how large gradients are that are not kept in the cache for
// whoever reads them next: they would not stay there.
const streamFloats = 4 << 20

// backwardWeights computes some rows of the weights' gradients a task.
func (l *FullyConnected) backwardWeights() {
	call, p := &l.call, l.call.pool
	l.makeTail()
	if l.packedFloats(call.n) > 0 {
		l.packed = grow(l.packed, l.packedFloats(call.n))
		p.run((l.s.I+treeChunk(call.n)-1)/treeChunk(call.n), (*chunkJob)(l))
	}
	l.leaves = linearPieces.leaves(l.leaves, call.cuts)
	rows := l.isa.rows * max(1, min(8, l.s.O/l.isa.rows/(4*p.threads)))
	call.outputs = newPartition(l.s.O, rows)
	p.reserve(l.weightsSpace())
	p.run(call.outputs.parts, (*linearWeightsJob)(l))
}

// linearPieces cuts the sums over examples: those of an image of one pixel.
var linearPieces = newPixelPieces(Conv{C: 1, H: 1, W: 1, O: 1, KH: 1, KW: 1, StrideH: 1, StrideW: 1})

// weightsSpace is the floats that a linearWeightsJob works in: gradients of its
// outputs, the last columns of a tile, and the stack.
func (l *FullyConnected) weightsSpace() int {
	return l.call.n*l.call.outputs.longest() + 16*l.isa.rows + treeStack(l.call.cuts, l.isa)
}

// packedFloats is the size of packed, 0 where the rows of x are read in place: only
// rows that are a multiple of 4 KiB apart share one or two sets of a first level cache.
func (l *FullyConnected) packedFloats(n int) int {
	if l.s.I%1024 != 0 {
		return 0
	}
	return n * l.s.I
}

// A chunkJob packs a chunk of inputs a task.
type chunkJob FullyConnected

func (j *chunkJob) do(_, task int) {
	l := (*FullyConnected)(j)
	chunk := treeChunk(l.call.n)
	i := task * chunk
	width := min(chunk, l.s.I-i)
	dst := l.packed[l.call.n*i:]
	for n := range l.call.n {
		copy(dst[n*width:][:width], l.call.x[n*l.s.I+i:])
	}
}

// makeTail fills tail.
func (l *FullyConnected) makeTail() {
	l.tail = grow(l.tail, 16*l.call.n)
	clear(l.tail)
	whole := l.s.I &^ 15
	for n := range l.call.n {
		row := l.tail[16*n:][:16]
		row[copy(row, l.call.x[n*l.s.I+whole:(n+1)*l.s.I])] = 1
	}
}

// A linearWeightsJob computes the gradients of some outputs' weights a task.
type linearWeightsJob FullyConnected

func (j *linearWeightsJob) do(thread, task int) {
	l := (*FullyConnected)(j)
	call, s := &l.call, l.s
	o, outputs := call.outputs.part(task)
	tiles := newPartition(outputs, l.isa.rows)
	space := call.pool.space(thread, l.weightsSpace())
	gy, space := space[:call.n*outputs], space[call.n*outputs:]
	last, stack := space[:16*l.isa.rows], space[16*l.isa.rows:]
	for q := range tiles.parts {
		r, rows := tiles.part(q)
		gatherColumns(gy[call.n*r:], rows, call.gy[o+r:], s.O, call.n)
	}
	t := &call.pool.locals[thread].tree
	stream := uintptr(0)
	if len(call.gw) >= streamFloats && uintptr(unsafe.Pointer(&call.gw[0]))%alignment == 0 && s.I%16 == 0 {
		stream = 1
	}
	whole, chunk := s.I&^15, treeChunk(call.n)
	for i := 0; i < whole; i += chunk {
		width := min(chunk, whole-i)
		b, bStep := &call.x[i], s.I
		if l.packedFloats(call.n) > 0 {
			b, bStep = &l.packed[call.n*i], width
		}
		for q := range tiles.parts {
			r, rows := tiles.part(q)
			l.prepareTree(t, gy[call.n*r:], rows, stack)
			t.b, t.bStep, t.stream = unsafe.Pointer(b), uintptr(4*bStep), stream
			t.c, t.cRow = unsafe.Pointer(&call.gw[(o+r)*s.I+i]), uintptr(4*s.I)
			l.isa.tree(t, rows, width)
		}
	}
	for q := range tiles.parts {
		r, rows := tiles.part(q)
		l.prepareTree(t, gy[call.n*r:], rows, stack)
		t.b, t.bStep = unsafe.Pointer(&l.tail[0]), 4*16
		t.c, t.cRow = unsafe.Pointer(&last[0]), 4*16
		l.isa.tree(t, rows, 16)
		for i := range rows {
			left := copy(call.gw[(o+r+i)*s.I+whole:(o+r+i+1)*s.I], last[16*i:])
			if call.gb != nil {
				call.gb[o+r+i] = last[16*i+left]
			}
		}
	}
	*t = treeTile{}
}

// prepareTree sets t up for some rows of gy, [n][rows].
func (l *FullyConnected) prepareTree(t *treeTile, gy []float32, rows int, stack []float32) {
	*t = treeTile{
		a: unsafe.Pointer(&gy[0]), aStep: uintptr(4 * rows),
		leaves: unsafe.Pointer(&l.leaves[0]), count: uintptr(len(l.leaves)), stack: unsafe.Pointer(&stack[0]),
	}
}

// gatherColumns makes n rows of so many columns, pitch apart in src, contiguous.
func gatherColumns(dst []float32, columns int, src []float32, pitch, n int) {
	for k := range n {
		to, from := dst[k*columns:][:columns], src[k*pitch:][:columns]
		for i := range to {
			to[i] = from[i]
		}
	}
}
