package kernels

import "unsafe"

// A FullyConnected is the plan of a fully connected layer: the memory that it
// works in, which grows to the largest batch seen and stays. It serves one caller
// at a time. Its weights [O][I] are up to 400 MB: each direction reads or writes
// them once, where they are, and never packs them as a whole. Examples are rows:
// x is [N][I], y [N][O].
//
// Each sum is cut at every 256th of its products, counted from the first: over i
// in Forward, o in BackwardData and a micro-batch's examples in BackwardWeights. A
// piece is one FMA chain from +0; the pieces are added in order to the bias, or
// else to the first of them.
type FullyConnected struct {
	s    Linear
	isa  *isa
	xt   []float32 // x in panels [n/cols][I][cols]
	call linearCall
}

type linearCall struct {
	pool       *Pool
	n          int
	x, w, b, y []float32
	gy, gx     []float32
	low        float32
	cuts       []int
	gw, gb     []float32
}

// NewFullyConnected plans the layer s.
func NewFullyConnected(s Linear) *FullyConnected {
	must(s.Check())
	return &FullyConnected{s: s, isa: active}
}

// Bytes is the memory that the plan holds when it serves n examples.
func (l *FullyConnected) Bytes(n int) int {
	return 4 * l.s.I * (n + l.isa.cols - 1) / l.isa.cols * l.isa.cols
}

// Forward computes y[n][o] = b[o] + Σ w[o][i]·x[n][i] for n examples; relu gives
// max(0, y) instead. b is [O], or nil for none.
func (l *FullyConnected) Forward(p *Pool, n int, x, w, b []float32, relu bool, y []float32) {
	const op = "FullyConnected.Forward"
	length(op, "x", len(x), n*l.s.I)
	length(op, "w", len(w), l.s.Weights())
	length(op, "y", len(y), n*l.s.O)
	if b != nil {
		length(op, "b", len(b), l.s.O)
	}
	if n == 0 {
		return
	}
	l.call = linearCall{pool: p, n: n, x: x, w: w, b: b, y: y, low: noLow}
	if relu {
		l.call.low = 0
	}
	panels := (n + l.isa.cols - 1) / l.isa.cols
	l.xt = grow(l.xt, panels*l.isa.cols*l.s.I)
	p.run(panels, (*transposeJob)(l))
	p.reserve(maxRows * l.isa.cols)
	p.run((l.s.O+l.isa.rows-1)/l.isa.rows, (*linearForwardJob)(l))
	l.call = linearCall{}
}

// A transposeJob makes one panel of xt a task.
type transposeJob FullyConnected

func (j *transposeJob) do(_, task int) {
	l := (*FullyConnected)(j)
	cols := l.isa.cols
	panel := l.xt[task*cols*l.s.I:][:cols*l.s.I]
	for e := range cols {
		n := task*cols + e
		for i := range l.s.I {
			if n < l.call.n {
				panel[i*cols+e] = l.call.x[n*l.s.I+i]
			} else {
				panel[i*cols+e] = 0
			}
		}
	}
}

// A linearForwardJob computes one tile of outputs of all examples a task.
type linearForwardJob FullyConnected

func (j *linearForwardJob) do(thread, task int) {
	l := (*FullyConnected)(j)
	call, s, cols := &l.call, l.s, l.isa.cols
	outputs := newPartition(s.O, l.isa.rows)
	o := outputs.from(task)
	rows := outputs.from(task+1) - o
	c := call.pool.space(thread, maxRows*cols)
	t := &call.pool.locals[thread].tile
	for n := 0; n < call.n; n += cols {
		*t = tile{
			aRow: uintptr(4 * s.I), bStep: uintptr(4 * cols), segs: 1, low: noLow,
			c: unsafe.Pointer(&c[0]), cRow: uintptr(4 * cols), initRow: uintptr(4 * cols),
		}
		if call.b != nil {
			t.init = t.c
			for r := range rows {
				for e := range cols {
					c[r*cols+e] = call.b[o+r]
				}
			}
		}
		for i := 0; i < s.I; i += piece {
			t.a = unsafe.Pointer(&call.w[o*s.I+i])
			t.b = unsafe.Pointer(&l.xt[(n*s.I)+i*cols])
			t.k = uintptr(min(piece, s.I-i))
			if i+piece >= s.I {
				t.low = call.low
			}
			l.isa.tileRows[cols/16][rows](t)
			t.init = t.c
		}
		for e := range min(cols, call.n-n) {
			for r := range rows {
				call.y[(n+e)*s.O+o+r] = c[r*cols+e]
			}
		}
	}
}

// BackwardData computes gx[n][i] = Σ gy[n][o]·w[o][i] for n examples.
func (l *FullyConnected) BackwardData(p *Pool, n int, gy, w, gx []float32) {
	const op = "FullyConnected.BackwardData"
	length(op, "gy", len(gy), n*l.s.O)
	length(op, "w", len(w), l.s.Weights())
	length(op, "gx", len(gx), n*l.s.I)
	if n == 0 {
		return
	}
	l.call = linearCall{pool: p, n: n, gy: gy, w: w, gx: gx}
	p.reserve((n + piece) * l.isa.cols)
	p.run((l.s.I+l.isa.cols-1)/l.isa.cols, (*linearDataJob)(l))
	l.call = linearCall{}
}

// A linearDataJob computes a panel of inputs of all examples a task.
type linearDataJob FullyConnected

func (j *linearDataJob) do(thread, task int) {
	l := (*FullyConnected)(j)
	call, s, cols := &l.call, l.s, l.isa.cols
	i := task * cols
	present := min(cols, s.I-i)
	space := call.pool.space(thread, (call.n+piece)*cols)
	b, c := space[:piece*cols], space[piece*cols:]
	t := &call.pool.locals[thread].tile
	*t = tile{
		aRow: uintptr(4 * s.O), b: unsafe.Pointer(&b[0]), bStep: uintptr(4 * cols),
		cRow: uintptr(4 * cols), initRow: uintptr(4 * cols), segs: 1, low: noLow,
	}
	examples := newPartition(call.n, l.isa.rows)
	for o := 0; o < s.O; o += piece {
		t.k = uintptr(min(piece, s.O-o))
		for k := range int(t.k) {
			clear(b[k*cols+present : k*cols+cols])
			copy(b[k*cols:][:present], call.w[(o+k)*s.I+i:])
		}
		for e := range examples.parts {
			n := examples.from(e)
			t.a, t.c = unsafe.Pointer(&call.gy[n*s.O+o]), unsafe.Pointer(&c[n*cols])
			if o > 0 {
				t.init = t.c
			}
			l.isa.tileRows[cols/16][examples.from(e+1)-n](t)
		}
	}
	for n := range call.n {
		copy(call.gx[n*s.I+i:][:present], c[n*cols:])
	}
}

// BackwardWeights computes gw[o][i] = Σ gy[n][o]·x[n][i] and gb[o] = Σ gy[n][o]
// over each micro-batch's examples, from cuts[m] to cuts[m+1], and adds the
// micro-batches as tree.Sum does, those with cuts[m] == cuts[m+1] left out.
// len(cuts) is one more than a power of two, and there is at least one example.
// gb is nil where there is no bias.
func (l *FullyConnected) BackwardWeights(p *Pool, x, gy []float32, cuts []int, gw, gb []float32) {
	const op = "FullyConnected.BackwardWeights"
	n := lastCut(op, cuts)
	length(op, "x", len(x), n*l.s.I)
	length(op, "gy", len(gy), n*l.s.O)
	length(op, "gw", len(gw), l.s.Weights())
	if gb != nil {
		length(op, "gb", len(gb), l.s.O)
	}
	l.call = linearCall{pool: p, n: n, x: x, gy: gy, cuts: cuts, gw: gw, gb: gb}
	p.reserve(stackDepth(cuts)*maxRows*l.isa.cols + n*l.isa.cols)
	p.run((l.s.O+l.isa.rows-1)/l.isa.rows, (*linearWeightsJob)(l))
	l.call = linearCall{}
}

// A linearWeightsJob computes the gradients of a tile of outputs' weights a task.
type linearWeightsJob FullyConnected

func (j *linearWeightsJob) do(thread, task int) {
	l := (*FullyConnected)(j)
	call, s, cols := &l.call, l.s, l.isa.cols
	outputs := newPartition(s.O, l.isa.rows)
	o := outputs.from(task)
	rows := outputs.from(task+1) - o
	space := call.pool.space(thread, stackDepth(call.cuts)*maxRows*cols+call.n*cols)
	b, stack := space[:call.n*cols], space[call.n*cols:]
	for i := 0; i < s.I+1; i += cols { // the input after the last is a constant one, for gb
		for n := range call.n {
			row := b[n*cols:][:cols]
			clear(row)
			copy(row, call.x[n*s.I+min(i, s.I):(n+1)*s.I])
			if s.I-i < cols {
				row[s.I-i] = 1
			}
		}
		l.treeTile(&call.pool.locals[thread].tile, o, rows, b, stack)
		for r := range rows {
			copy(call.gw[(o+r)*s.I+min(i, s.I):(o+r+1)*s.I], stack[r*cols:][:cols])
			if s.I-i < cols && call.gb != nil {
				call.gb[o+r] = stack[r*cols+s.I-i]
			}
		}
	}
}

// treeTile sums a tile over all micro-batches.
func (l *FullyConnected) treeTile(t *tile, o, rows int, b, stack []float32) {
	call, cols := &l.call, l.isa.cols
	size := maxRows * cols
	*t = tile{
		aStep: uintptr(4 * l.s.O), bStep: uintptr(4 * cols),
		cRow: uintptr(4 * cols), initRow: uintptr(4 * cols), segs: 1, low: noLow,
	}
	var order treeOrder
	depth := 0
	for m := range len(call.cuts) - 1 {
		from, to := call.cuts[m], call.cuts[m+1]
		t.init = nil
		for n := from; n < to; n += piece {
			t.k = uintptr(min(piece, to-n))
			t.a, t.b = unsafe.Pointer(&call.gy[n*l.s.O+o]), unsafe.Pointer(&b[n*cols])
			t.c = unsafe.Pointer(&stack[depth*size])
			l.isa.tileColumns[cols/16][rows](t)
			t.init = t.c
		}
		if from < to {
			depth++
		}
		for range order.after(from < to) {
			depth--
			addTo(stack[(depth-1)*size:][:rows*cols], stack[depth*size:][:rows*cols])
		}
	}
}
