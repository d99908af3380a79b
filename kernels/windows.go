package kernels

import "unsafe"

// windows is the argument of a pooling inner loop, which computes n channels of
// each of some pixels of y from the rows × cols pixels of x around each. Steps are
// in bytes: Col from column to column, Seg, added behind the last column, to the
// next row, Step from one pixel's window to the next. The layout is known to
// internal/gen.
type windows struct {
	x                       unsafe.Pointer
	xCol, xSeg, xStep       uintptr
	y                       unsafe.Pointer
	yStep                   uintptr
	arg                     unsafe.Pointer // a byte for each float: of y forward, of x backward
	argCol, argSeg, argStep uintptr
	rows, cols              int
	pixels, n               int   // n is a multiple of vectorGroup for generated ones
	k, kCol, kSeg           int32 // the window's first position, and how it changes
	none                    int32 // forward: or-ed to arg unless y > 0
	add                     int   // backward: 1 to add to what is in y
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
	opMaxPool:         func(w *windows) { w.each((*windows).max) },
	opMaxPoolArg:      func(w *windows) { w.each((*windows).max) },
	opMaxPoolBackward: func(w *windows) { w.each((*windows).chosen) },
	opAvgPool:         func(w *windows) { w.each((*windows).mean) },
	opAvgPoolBackward: func(w *windows) { w.each((*windows).shares) },
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
		w.y = unsafe.Add(w.y, 4*whole)
		if w.x != nil { // nil where there is no window
			w.x = unsafe.Add(w.x, 4*whole)
		}
		if w.arg != nil {
			w.arg = unsafe.Add(w.arg, whole)
		}
		generic.pooling[op](w)
	}
}

// each computes each pixel and channel with f.
func (w *windows) each(f func(w *windows, pixel, c int) float32) {
	for i := range w.pixels {
		for c := range w.n {
			*element(w.y, uintptr(i)*w.yStep, c) = f(w, i, c)
		}
	}
}

// A place is a pixel of the window around a pixel of y: where it is in x and arg,
// and its position in its window.
type place struct {
	x, arg   uintptr
	k        int32
	row, col int
}

// places calls f for each pixel of the window around pixel i.
func (w *windows) places(i int, f func(p place)) {
	p := place{x: uintptr(i) * w.xStep, arg: uintptr(i) * w.argStep, k: w.k}
	for p.row = range w.rows {
		for p.col = range w.cols {
			f(p)
			p.x, p.arg, p.k = p.x+w.xCol, p.arg+w.argCol, p.k+w.kCol
		}
		p.x, p.arg, p.k = p.x+w.xSeg, p.arg+w.argSeg, p.k+w.kSeg
	}
}

func (w *windows) max(i, c int) float32 {
	best, where := *element(w.x, uintptr(i)*w.xStep, c), w.k
	w.places(i, func(p place) {
		if v := *element(w.x, p.x, c); v > best || v != v {
			best, where = v, p.k
		}
	})
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
	w.places(i, func(p place) { sum.add(*element(w.x, p.x, c)) })
	return sum.total() / w.count
}

func (w *windows) chosen(i, c int) float32 {
	var sum sum
	w.places(i, func(p place) {
		if int32(*(*uint8)(unsafe.Add(w.arg, int(p.arg)+c))) == p.k {
			sum.add(*element(w.x, p.x, c))
		}
	})
	return w.sumOrAdded(sum.total(), i, c)
}

func (w *windows) shares(i, c int) float32 {
	var sum sum
	count := w.count
	w.places(i, func(p place) {
		if s := w.s; s != nil {
			h0, h1 := window(w.oh+p.row, s.StrideH, s.PadH, s.KH, s.H)
			w0, w1 := window(w.ow+i+p.col, s.StrideW, s.PadW, s.KW, s.W)
			count = s.count(h0, h1, w0, w1)
		}
		sum.add(*element(w.x, p.x, c) / count)
	})
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
