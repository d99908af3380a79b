package kernels

import "unsafe"

// rows is the argument of an elementwise inner loop, which computes n elements
// of each of rows rows of y from those of x and g. The layout is known to
// internal/gen.
type rows struct {
	x, g, y          unsafe.Pointer
	xRow, gRow, yRow uintptr // bytes from one row to the next
	rows, n          uintptr // n is a multiple of vectorGroup for generated ones
	s                [4]float32
	_                [5]uintptr // two cache lines: each thread has its own
}

// vectorGroup is what the generated loops count elements in: the rest of a row
// is left to the generic version, whose bits are the same.
const vectorGroup = 16

// elementOp names an elementwise inner loop.
type elementOp int

const (
	opReLU elementOp = iota
	opReLUBackward
	opSigmoid
	opSigmoidBackward
	opTanh
	opTanhBackward
	opScaledTanh
	opScaledTanhBackward
	opAdd
	opDropout
	opDivide
	opUpdate // those of Update: after each the one with a decay
	opUpdateDecay
	opUpdateMomentum
	opUpdateMomentumDecay
	opUpdateNesterov
	opUpdateNesterovDecay
	elementOps = iota
)

// elementVectors are the inner loops of everything that is no sum of products.
type elementVectors struct {
	element [elementOps]func(r *rows)
}

var genericElements = elementVectors{
	element: [elementOps]func(r *rows){
		opReLU:                func(r *rows) { r.each(relu) },
		opReLUBackward:        func(r *rows) { r.each(reluBackward) },
		opSigmoid:             func(r *rows) { r.each(sigmoid) },
		opSigmoidBackward:     func(r *rows) { r.each(sigmoidBackward) },
		opTanh:                func(r *rows) { r.each(tanh) },
		opTanhBackward:        func(r *rows) { r.each(tanhBackward) },
		opScaledTanh:          func(r *rows) { r.each(scaledTanh) },
		opScaledTanhBackward:  func(r *rows) { r.each(scaledTanhBackward) },
		opAdd:                 func(r *rows) { r.each(plus) },
		opDivide:              genericDivide,
		opDropout:             genericDropout,
		opUpdate:              func(r *rows) { genericUpdate(r, false, false, false) },
		opUpdateDecay:         func(r *rows) { genericUpdate(r, false, true, false) },
		opUpdateMomentum:      func(r *rows) { genericUpdate(r, true, false, false) },
		opUpdateMomentumDecay: func(r *rows) { genericUpdate(r, true, true, false) },
		opUpdateNesterov:      func(r *rows) { genericUpdate(r, true, false, true) },
		opUpdateNesterovDecay: func(r *rows) { genericUpdate(r, true, true, true) },
	},
}

// each computes y = f(x, g) for each element.
func (r *rows) each(f func(x, g float32) float32) {
	for i := range r.rows {
		x, g, y := i*r.xRow, i*r.gRow, i*r.yRow
		for j := range int(r.n) {
			var second float32
			if r.g != nil {
				second = *element(r.g, g, j)
			}
			*element(r.y, y, j) = f(*element(r.x, x, j), second)
		}
	}
}

// apply does r with the active loop, the rest of each row with the generic one.
// gBytes is the size of an element of g.
func (r *rows) apply(op elementOp, gBytes uintptr) {
	n := r.n
	whole := n &^ (vectorGroup - 1)
	if whole > 0 {
		r.n = whole
		active.element[op](r)
	}
	if rest := n - whole; rest > 0 {
		r.n = rest
		r.x, r.y = unsafe.Add(r.x, 4*whole), unsafe.Add(r.y, 4*whole)
		if r.g != nil {
			r.g = unsafe.Add(r.g, gBytes*whole)
		}
		generic.element[op](r)
	}
}

// taskFloats is about how many elements a task of the cheap operations has.
const taskFloats = 1 << 14

// elementsJob is the job of the elementwise operations: a task is some pixels.
type elementsJob struct {
	op        elementOp
	x, g, y   Maps // g is empty where the operation has one argument
	pixels, c int
	batch     int // pixels of a task
	args      []rows
}

// elements runs op; the maps have been checked.
func (p *Pool) elements(op elementOp, pixels, c int, x, g, y Maps) {
	j := &p.ops.elements
	*j = elementsJob{op: op, x: x, g: g, y: y, pixels: pixels, c: c, args: rowsFor(p, j.args)}
	j.batch = max(1, taskFloats/max(c, 1))
	p.run((pixels+j.batch-1)/j.batch, j)
	j.x, j.g, j.y = Maps{}, Maps{}, Maps{}
}

// rowsFor returns the arguments of each thread.
func rowsFor(p *Pool, args []rows) []rows {
	if len(args) < p.threads {
		return make([]rows, p.threads)
	}
	return args
}

func (j *elementsJob) do(thread, task int) {
	low := task * j.batch
	count := min(j.batch, j.pixels-low)
	if count*j.c == 0 {
		return
	}
	r := &j.args[thread]
	*r = rows{
		x: j.x.at(low, 0), xRow: uintptr(4 * j.x.Pitch),
		y: j.y.at(low, 0), yRow: uintptr(4 * j.y.Pitch),
		rows: uintptr(count), n: uintptr(j.c),
	}
	dense := j.x.Pitch == j.c && j.y.Pitch == j.c
	if j.g.V != nil {
		r.g, r.gRow = j.g.at(low, 0), uintptr(4*j.g.Pitch)
		dense = dense && j.g.Pitch == j.c
	}
	if dense {
		r.rows, r.n = 1, uintptr(count*j.c)
	}
	r.apply(j.op, 4)
}
