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
	opMaxPoolBackwardStream // past the cache: y is aligned, nothing is added
	opAvgPool
	opAvgPoolBackward
	opAvgPoolBackwardStream
	poolingOps = iota
)

// poolingVectors are the inner loops of pooling.
type poolingVectors struct {
	pooling [poolingOps]func(w *windows)
}

var genericPooling = poolingVectors{[poolingOps]func(w *windows){
	opMaxPool:               genericMaxPool,
	opMaxPoolArg:            genericMaxPool,
	opMaxPoolBackward:       func(w *windows) { w.sums((*windows).chosen) },
	opMaxPoolBackwardStream: func(w *windows) { w.sums((*windows).chosen) },
	opAvgPool:               func(w *windows) { w.sums((*windows).mean) },
	opAvgPoolBackward:       func(w *windows) { w.sums((*windows).shares) },
	opAvgPoolBackwardStream: func(w *windows) { w.sums((*windows).shares) },
}}

// apply does w with the active loop as far as whole vectors go, and the rest of
// the channels with a vector that does some of them again, or with the generic
// loop.
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
	switch rest := n - whole; {
	case rest == 0:
	case whole > 0 && w.add == 0:
		w.n = vectorGroup
		w.skip(n - vectorGroup)
		active.pooling[op](w)
	default:
		w.n = rest
		w.skip(whole)
		generic.pooling[op](w)
	}
}

// skip goes on by some channels.
func (w *windows) skip(channels int) {
	w.y = unsafe.Add(w.y, 4*channels)
	if w.x != nil { // nil where there is no window
		w.x = unsafe.Add(w.x, 4*channels)
	}
	if w.arg != nil {
		w.arg = unsafe.Add(w.arg, channels)
	}
}

func genericMaxPool(w *windows) {
	for i := range w.pixels {
		for c := range w.n {
			at, k := uintptr(i)*w.xStep, w.k
			best, where := *element(w.x, at, c), k
			for range w.rows {
				for range w.cols {
					if v := *element(w.x, at, c); v > best || v != v {
						best, where = v, k
					}
					at, k = at+w.xCol, k+w.kCol
				}
				at, k = at+w.xSeg, k+w.kSeg
			}
			if w.arg != nil {
				if !(best > 0) {
					where |= w.none
				}
				*w.argOf(i*int(w.argStep) + c) = uint8(where)
			}
			*element(w.y, uintptr(i)*w.yStep, c) = best
		}
	}
}

func (w *windows) argOf(offset int) *uint8 { return (*uint8)(unsafe.Add(w.arg, offset)) }

// sums computes each pixel and channel with f.
func (w *windows) sums(f func(w *windows, pixel, c int) float32) {
	for i := range w.pixels {
		for c := range w.n {
			y := element(w.y, uintptr(i)*w.yStep, c)
			if v := f(w, i, c); w.add != 0 {
				*y += v
			} else {
				*y = v
			}
		}
	}
}

func (w *windows) mean(i, c int) float32 {
	var sum sum
	at := uintptr(i) * w.xStep
	for range w.rows {
		for range w.cols {
			sum.add(*element(w.x, at, c))
			at += w.xCol
		}
		at += w.xSeg
	}
	return sum.total() / w.count
}

func (w *windows) chosen(i, c int) float32 {
	var sum sum
	at, arg, k := uintptr(i)*w.xStep, i*int(w.argStep)+c, w.k
	for range w.rows {
		for range w.cols {
			if int32(*w.argOf(arg)) == k {
				sum.add(*element(w.x, at, c))
			}
			at, arg, k = at+w.xCol, arg+int(w.argCol), k+w.kCol
		}
		at, arg, k = at+w.xSeg, arg+int(w.argSeg), k+w.kSeg
	}
	return sum.total()
}

func (w *windows) shares(i, c int) float32 {
	var sum sum
	at, count := uintptr(i)*w.xStep, w.count
	for row := range w.rows {
		for col := range w.cols {
			if s := w.s; s != nil {
				h0, h1 := window(w.oh+row, s.StrideH, s.PadH, s.KH, s.H)
				w0, w1 := window(w.ow+i+col, s.StrideW, s.PadW, s.KW, s.W)
				count = s.count(h0, h1, w0, w1)
			}
			sum.add(*element(w.x, at, c) / count)
			at += w.xCol
		}
		at += w.xSeg
	}
	return sum.total()
}

// A sum is taken in pieces of 256 terms.
type sum struct {
	whole, part float32
	terms       int // of the piece
	pieces      int // before it
}

func (s *sum) add(v float32) {
	if s.terms == piece {
		s.cut()
	}
	s.part += v
	s.terms++
}

func (s *sum) cut() {
	s.whole = s.total()
	s.part, s.terms = 0, 0
	s.pieces++
}

func (s *sum) total() float32 {
	if s.pieces == 0 {
		return s.part
	}
	return s.whole + s.part
}
