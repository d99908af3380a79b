package kernels

import "unsafe"

// windows is the argument of a pooling inner loop, which computes n channels of
// each of some pixels of y from the rows × cols pixels of x around each. Steps are
// in bytes. The layout is known to internal/gen.
type windows struct {
	x                       unsafe.Pointer
	xRow, xCol, xStep       uintptr // from a row, a column, a pixel's window to the next
	y                       unsafe.Pointer
	yStep                   uintptr
	arg                     unsafe.Pointer // a byte for each float: of y forward, of x backward
	argRow, argCol, argStep uintptr
	rows, cols              int
	pixels, n               int   // n is a multiple of vectorGroup for generated ones
	k, kCol, kRow           int32 // the first position, how it changes from column to column and from row to row
	none                    int32 // forward: or-ed to arg unless y > 0
	add                     int32 // backward: 1 to add to what is in y
	count                   float32

	// Where the windows around a pixel count differently, s is not nil and (oh,
	// ow) is the first of them; only the generic loop knows.
	s      *Pool2D
	oh, ow int
}

// poolingOp names a pooling inner loop.
type poolingOp int

const (
	opMaxPool poolingOp = iota
	opMaxPoolArg
	opMaxPoolBackward
	opAvgPool
	opAvgPoolBackward
	poolingOps = iota
)

// poolingVectors are the inner loops of pooling.
type poolingVectors struct {
	pooling [poolingOps]func(w *windows)
}

var genericPooling = poolingVectors{[poolingOps]func(w *windows){
	opMaxPool:         func(w *windows) { w.each(w.max) },
	opMaxPoolArg:      func(w *windows) { w.each(w.max) },
	opMaxPoolBackward: func(w *windows) { w.each(w.chosen) },
	opAvgPool:         func(w *windows) { w.each(w.mean) },
	opAvgPoolBackward: func(w *windows) { w.each(w.shares) },
}}

// apply does w with the active loop, the rest of the channels with the generic
// one.
func (w *windows) apply(op poolingOp) {
	n := w.n
	whole := n &^ (vectorGroup - 1)
	if w.s != nil || w.rows*w.cols > piece {
		whole = 0
	}
	if whole > 0 {
		w.n = whole
		active.pooling[op](w)
	}
	if whole < n {
		w.n = n - whole
		w.x, w.y = unsafe.Add(w.x, 4*whole), unsafe.Add(w.y, 4*whole)
		if w.arg != nil {
			w.arg = unsafe.Add(w.arg, whole)
		}
		generic.pooling[op](w)
	}
}

// each calls f for each pixel and channel, with the x and y of the pixel's window.
func (w *windows) each(f func(pixel, c int) float32) {
	for i := range w.pixels {
		for c := range w.n {
			*element(w.y, uintptr(i)*w.yStep, c) = f(i, c)
		}
	}
}

// at is channel c of the pixel of x at (row, col) around pixel i.
func (w *windows) at(i, row, col, c int) float32 {
	return *element(w.x, uintptr(i)*w.xStep+uintptr(row)*w.xRow+uintptr(col)*w.xCol, c)
}

func (w *windows) max(i, c int) float32 {
	best, where := w.at(i, 0, 0, c), w.k
	for row := range w.rows {
		for col := range w.cols {
			if v := w.at(i, row, col, c); v > best || v != v {
				best, where = v, w.k+int32(row)*w.kRow+int32(col)*w.kCol
			}
		}
	}
	if w.arg != nil {
		if !(best > 0) {
			where |= w.none
		}
		*(*uint8)(unsafe.Add(w.arg, i*int(w.argStep)+c)) = uint8(where)
	}
	return best
}

func (w *windows) mean(i, c int) float32 {
	var sum sum
	for row := range w.rows {
		for col := range w.cols {
			sum.add(w.at(i, row, col, c))
		}
	}
	return sum.total() / w.count
}

func (w *windows) chosen(i, c int) float32 {
	var sum sum
	for row := range w.rows {
		for col := range w.cols {
			arg := *(*uint8)(unsafe.Add(w.arg, i*int(w.argStep)+row*int(w.argRow)+col*int(w.argCol)+c))
			if int32(arg) == w.k+int32(row)*w.kRow+int32(col)*w.kCol {
				sum.add(w.at(i, row, col, c))
			}
		}
	}
	return w.sumOrAdded(sum.total(), i, c)
}

func (w *windows) shares(i, c int) float32 {
	var sum sum
	count := w.count
	for row := range w.rows {
		for col := range w.cols {
			if s := w.s; s != nil {
				h0, h1 := window(w.oh+row, s.StrideH, s.PadH, s.KH, s.H)
				w0, w1 := window(w.ow+i+col, s.StrideW, s.PadW, s.KW, s.W)
				count = s.count(h0, h1, w0, w1)
			}
			sum.add(w.at(i, row, col, c) / count)
		}
	}
	return w.sumOrAdded(sum.total(), i, c)
}

func (w *windows) sumOrAdded(v float32, i, c int) float32 {
	if w.add != 0 {
		return *element(w.y, uintptr(i)*w.yStep, c) + v
	}
	return v
}

// sum is a sum in pieces of 256 terms.
type sum struct {
	whole, part float32
	terms       int
}

func (s *sum) add(v float32) {
	if s.terms > 0 && s.terms%piece == 0 {
		s.cut()
	}
	s.part += v
	s.terms++
}

func (s *sum) cut() {
	if s.terms <= piece {
		s.whole = s.part
	} else {
		s.whole += s.part
	}
	s.part = 0
}

func (s *sum) total() float32 {
	s.cut()
	return s.whole
}
