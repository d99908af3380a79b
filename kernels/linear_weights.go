package kernels

import "unsafe"

// treeChunk is how many columns a call of a tree kernel goes over, a multiple of
// 16, when its sums have n products: as many as leave B in a core's cache, since a
// row of C is written in that many pieces, which memory likes to be long.
func treeChunk(n int) int { return min(max(treeFloats/n, 128), 2048) &^ 15 }

const treeFloats = 32 << 10

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
	rows := l.isa.treeRows * max(1, min(8, l.s.O/l.isa.treeRows/(4*p.threads)))
	call.outputs = newPartition(l.s.O, rows)
	p.reserve((stackDepth(call.cuts) + 2) * maxTreeRows * treeChunk(call.n))
	p.run(call.outputs.parts, (*linearWeightsJob)(l))
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
	t := &call.pool.locals[thread].tree
	whole := s.I &^ 15
	tiles := newPartition(outputs, l.isa.treeRows)
	chunk := treeChunk(call.n)
	for i := 0; i < whole; i += chunk {
		width := min(chunk, whole-i)
		b, bStep := &call.x[i], s.I
		if l.packedFloats(call.n) > 0 {
			b, bStep = &l.packed[call.n*i], width
		}
		for q := range tiles.parts {
			r, rows := tiles.part(q)
			*t = treeTile{b: unsafe.Pointer(b), bStep: uintptr(4 * bStep), groups: uintptr(width / 16)}
			t.c, t.cRow = unsafe.Pointer(&call.gw[(o+r)*s.I+i]), uintptr(4*s.I)
			l.treeTile(thread, t, o+r, rows)
		}
	}
	last := call.pool.space(thread, (stackDepth(call.cuts)+2)*maxTreeRows*treeChunk(call.n))[:maxTreeRows*16]
	for q := range tiles.parts {
		r, rows := tiles.part(q)
		*t = treeTile{b: unsafe.Pointer(&l.tail[0]), bStep: 4 * 16, c: unsafe.Pointer(&last[0]), cRow: 4 * 16, groups: 1}
		l.treeTile(thread, t, o+r, rows)
		for i := range rows {
			left := copy(call.gw[(o+r+i)*s.I+whole:(o+r+i+1)*s.I], last[16*i:])
			if call.gb != nil {
				call.gb[o+r+i] = last[16*i+left]
			}
		}
	}
	*t = treeTile{}
}

// treeTile sums a tile of some outputs from o on over the micro-batches.
func (l *FullyConnected) treeTile(thread int, t *treeTile, o, rows int) {
	cuts := l.call.cuts
	t.a, t.aStep = unsafe.Pointer(&l.call.gy[o]), uintptr(4*l.s.O)
	levels, regular := t.count(cuts, 1, piece, len(l.isa.trees))
	if regular {
		if len(l.call.gw) >= streamFloats && (uintptr(t.c)|t.cRow)%alignment == 0 {
			t.stream = 1
		}
		l.isa.trees[levels][rows](t)
		return
	}
	l.irregularTree(thread, *t, rows)
}

// irregularTree is treeTile for micro-batches that are absent, too many or too
// long: piece by piece.
func (l *FullyConnected) irregularTree(thread int, whole treeTile, rows int) {
	call := &l.call
	local := &call.pool.locals[thread]
	t, size := &local.tree, rows*int(whole.groups)*16
	stack := call.pool.space(thread, (stackDepth(call.cuts)+2)*maxTreeRows*treeChunk(call.n))[maxTreeRows*16:]
	*t = whole
	t.cRow = 64 * whole.groups
	var order treeOrder
	depth := 0
	for m := range len(call.cuts) - 1 {
		low, high := call.cuts[m], call.cuts[m+1]
		for n := low; n < high; n += piece {
			t.k[0] = uintptr(min(piece, high-n))
			t.a, t.b = unsafe.Add(whole.a, n*int(whole.aStep)), unsafe.Add(whole.b, n*int(whole.bStep))
			t.c = unsafe.Pointer(&stack[depth*size])
			l.isa.trees[0][rows](t)
			depth++
			if n > low {
				depth--
				l.isa.addTo(local, stack[(depth-1)*size:][:size], stack[depth*size:][:size])
			}
		}
		for range order.after(low < high) {
			depth--
			l.isa.addTo(local, stack[(depth-1)*size:][:size], stack[depth*size:][:size])
		}
	}
	for r := range rows {
		columns := int(whole.groups) * 16
		copy(unsafe.Slice((*float32)(unsafe.Add(whole.c, r*int(whole.cRow))), columns), stack[r*columns:])
	}
}
