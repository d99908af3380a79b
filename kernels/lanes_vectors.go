package kernels

import (
	"math/bits"
	"unsafe"
)

// lane is how many examples stand side by side, one in each lane.
const lane = 16

// laneBytes is the size of one value of all lanes.
const laneBytes = 4 * lane

// laneOutputs and laneTaps bound the micro-kernels of all isas: outputs of one
// call, and taps of one call of a gradient.
const (
	laneOutputs = 6
	laneTaps    = 5
)

// lanesVectors are the inner loops on examples in the lanes. One call computes
// laneWidth of the 16 lanes.
type lanesVectors struct {
	laneWidth   int
	laneMost    int               // outputs of the largest laneTile
	laneSumMost [laneTaps + 1]int // outputs of the largest laneSum, by taps
	laneTile    [laneOutputs + 1]func(t *laneTile)
	laneTileMax [laneOutputs + 1]func(t *laneTile)
	laneSum     [laneTaps + 1][laneOutputs + 1]func(s *laneSum)
	lanePool    func(w *laneWindows) // of the largest, with arg
	laneRoute   func(w *laneWindows)
	laneAverage func(w *laneWindows)
	laneScatter func(w *laneWindows)
	laneLoad    func(b *laneBlocks)
	laneSave    func(b *laneBlocks)
	laneFetch   func(f *laneFold)
	laneFold    [5]func(f *laneFold) // by log₂ of the number of lanes: 4, 8, 16
}

// A laneTile is one call of a micro-kernel of correlation: for each of its tiles,
// the sums of some outputs o at the four pixels q of a square of 2×2,
//
//	sum[o][q] = Σ x[plane][row][tap, from pixel q on] · w[plane][row][tap][o]
//
// one FMA chain from +0 over (plane, row, tap). laneTile then computes
//
//	y[o][q] = max(low, ((y[o][q] if add) + sum[o][q]) + bias[o])
//
// and laneTileMax the first maximum m of the four and its place q,
//
//	y[o] = max(low, m + bias[o]), arg[o] = q
//
// Strides are in bytes. x and w move on by one tap, and by their skips after a
// row's last tap and a plane's last row. The layout is known to internal/gen.
type laneTile struct {
	x                     unsafe.Pointer
	xCol, xRow            uintptr // from a pixel of the tile to the one right of it, below it
	xNext                 uintptr // from one tile to the next
	xRowSkip, xPlaneSkip  uintptr
	w                     unsafe.Pointer
	wRowSkip, wPlaneSkip  uintptr
	taps, rows, planes    uintptr // at least 1 each
	tiles                 uintptr // at least 1
	y                     unsafe.Pointer
	yCol, yRow, yNext, yO uintptr
	arg                   unsafe.Pointer // floats, one after another from tile to tile
	argO                  uintptr
	bias                  unsafe.Pointer // of −0 for none
	add                   uintptr
	low                   float32
	one, two, three       float32
}

// A laneSum is one call of a micro-kernel of gradients: for some outputs o and
// adjacent taps k,
//
//	out[o][k] = (out[o][k] if add) + Σ g[o][row][col] · x[row][col, from tap k on]
//
// one FMA chain from +0 over (row, col). Strides are in bytes; x moves on by
// xStep and g by one pixel, and by their skips after a row. The layout is known
// to internal/gen.
type laneSum struct {
	x               unsafe.Pointer
	xStep, xRowSkip uintptr
	g               unsafe.Pointer
	gO, gRowSkip    uintptr
	rows, cols      uintptr // at least 1 each
	out             unsafe.Pointer
	outO            uintptr
	add             uintptr
}

// laneWindows is a plane of windows of 2×2 pixels: window (row, col) is small at
// (row, col) and the pixels a, b, c and d of big at rows 2·row and 2·row+1 and
// columns 2·col and 2·col+1. lanePool computes small as max(low, m + bias), m being
// the first maximum, and arg as its place, laneRoute puts small to the place that arg tells and +0 to the
// others, laneAverage computes small = ((a+b)+(c+d))/4 and copies the pixels of
// big to kept, and laneScatter puts small/4 to each pixel. Strides are in bytes. The layout is known to
// internal/gen.
type laneWindows struct {
	small           unsafe.Pointer
	smallRow        uintptr
	arg             unsafe.Pointer // dense
	big             unsafe.Pointer
	bigRow          uintptr
	kept            unsafe.Pointer
	keptRow         uintptr
	rows, cols      uintptr // at least 1 each
	quarter         float32
	bias, low       float32
	one, two, three float32
}

// laneBlocks are rows of blocks of 4 pixels of 4 examples, whose values lie pixel
// by pixel in lanes and example by example in the others. laneLoad copies the
// examples to the lanes, laneSave the lanes to the examples. Strides are in
// bytes. The layout is known to internal/gen.
type laneBlocks struct {
	examples    [4]unsafe.Pointer
	exampleSkip uintptr // after a row
	lanes       unsafe.Pointer
	lanesSkip   uintptr
	rows, cols  uintptr // cols: blocks of a row; at least 1 each
}

// A laneFold is the sums of some adjacent lanes as a binary tree, for n
// vectors of 16 lanes, n a multiple of 4. laneFetch, of at least one, only has
// the vectors x brought into the second cache. The layout is known to
// internal/gen.
type laneFold struct {
	x, y unsafe.Pointer
	n    uintptr
}

// moved returns p some bytes on.
func moved(p unsafe.Pointer, bytes int) unsafe.Pointer {
	if p == nil {
		return nil
	}
	return unsafe.Add(p, bytes)
}

// each calls f for the lanes, laneWidth at a time.
func (t *laneTile) each(f func(t *laneTile)) {
	f(t)
	for done := active.laneWidth; done < lane; done += active.laneWidth {
		by := 4 * active.laneWidth
		t.x, t.y, t.arg = moved(t.x, by), moved(t.y, by), moved(t.arg, by)
		f(t)
	}
}

func (s *laneSum) each(f func(s *laneSum)) {
	f(s)
	for done := active.laneWidth; done < lane; done += active.laneWidth {
		by := 4 * active.laneWidth
		s.x, s.g, s.out = moved(s.x, by), moved(s.g, by), moved(s.out, by)
		f(s)
	}
}

// laneValues are the values of one element in all lanes.
type laneValues = [lane]float32

func lanesAt(p unsafe.Pointer, bytes uintptr) *laneValues {
	return (*laneValues)(unsafe.Add(p, int(bytes)))
}

var genericLanes = newGenericLanes()

func newGenericLanes() lanesVectors {
	v := lanesVectors{
		laneWidth: lane, laneMost: laneOutputs,
		lanePool: genericLanePool, laneRoute: genericLaneRoute,
		laneAverage: genericLaneAverage, laneScatter: genericLaneScatter,
		laneLoad: func(b *laneBlocks) { b.each(func(lanes, example *float32) { *lanes = *example }) },
		laneSave: func(b *laneBlocks) { b.each(func(lanes, example *float32) { *example = *lanes }) },
	}
	for o := 1; o <= laneOutputs; o++ {
		v.laneTile[o] = func(t *laneTile) { t.generic(o, false) }
		v.laneTileMax[o] = func(t *laneTile) { t.generic(o, true) }
		for k := 1; k <= laneTaps; k++ {
			v.laneSumMost[k] = laneOutputs
			v.laneSum[k][o] = func(s *laneSum) { s.generic(o, k) }
		}
	}
	v.laneFetch = func(*laneFold) {}
	for n := 4; n <= lane; n *= 2 {
		v.laneFold[bits.Len(uint(n))-1] = func(f *laneFold) { f.generic(n) }
	}
	return v
}

func (t *laneTile) generic(outputs int, pooled bool) {
	for i := range t.tiles {
		for o := range outputs {
			bias := *element(t.bias, 0, o)
			var sums [4]laneValues
			var y [4]*laneValues
			for q := range sums {
				right, down := uintptr(q&1), uintptr(q>>1)
				t.sum(&sums[q], i*t.xNext+right*t.xCol+down*t.xRow, outputs, o)
				y[q] = lanesAt(t.y, i*t.yNext+uintptr(o)*t.yO+right*t.yCol+down*t.yRow)
				if t.add != 0 {
					sums[q] = plusLanes(y[q], &sums[q])
				}
			}
			if pooled {
				largest(&sums, y[0], lanesAt(t.arg, i*laneBytes+uintptr(o)*t.argO))
				finishLanes(y[0], y[0], bias, t.low)
				continue
			}
			for q := range sums {
				finishLanes(&sums[q], y[q], bias, t.low)
			}
		}
	}
}

func plusLanes(a, b *laneValues) (sum laneValues) {
	for l := range sum {
		sum[l] = a[l] + b[l]
	}
	return sum
}

// finishLanes computes y = max(low, v + bias).
func finishLanes(v, y *laneValues, bias, low float32) {
	for l, f := range v {
		f += bias
		if low > f {
			f = low
		}
		y[l] = f
	}
}

// sum adds the products of one pixel, x bytes after t.x, and output to s.
func (t *laneTile) sum(s *laneValues, x uintptr, outputs, o int) {
	var w uintptr
	for range t.planes {
		for range t.rows {
			for range t.taps {
				f := *element(t.w, w, o)
				for l, v := range lanesAt(t.x, x) {
					s[l] = fma(v, f, s[l])
				}
				x += laneBytes
				w += uintptr(4 * outputs)
			}
			x += t.xRowSkip
			w += t.wRowSkip
		}
		x += t.xPlaneSkip
		w += t.wPlaneSkip
	}
}

// largest is the first maximum of four, lane by lane, and its place; a NaN counts
// as greater than anything.
func largest(v *[4]laneValues, m, arg *laneValues) {
	for l := range m {
		best := 0
		for q := 1; q < 4; q++ {
			if b := v[best][l]; !(b >= v[q][l]) && b == b {
				best = q
			}
		}
		m[l], arg[l] = v[best][l], float32(best)
	}
}

func (s *laneSum) generic(outputs, taps int) {
	for o := range outputs {
		for k := range taps {
			var sum laneValues
			x, g := uintptr(k*laneBytes), uintptr(o)*s.gO
			for range s.rows {
				for range s.cols {
					v := lanesAt(s.x, x)
					for l, f := range lanesAt(s.g, g) {
						sum[l] = fma(f, v[l], sum[l])
					}
					x += s.xStep
					g += laneBytes
				}
				x += s.xRowSkip
				g += s.gRowSkip
			}
			out := lanesAt(s.out, uintptr(o)*s.outO+uintptr(k*laneBytes))
			if s.add != 0 {
				sum = plusLanes(out, &sum)
			}
			*out = sum
		}
	}
}

// each calls f with each window: its value, its place in arg if there is one, and
// its four pixels.
func (w *laneWindows) each(f func(small, arg *laneValues, q [4]*laneValues)) {
	for row := range w.rows {
		for col := range w.cols {
			var arg *laneValues
			if w.arg != nil {
				arg = lanesAt(w.arg, (row*w.cols+col)*laneBytes)
			}
			up, left := 2*row*w.bigRow, 2*col*laneBytes
			down, right := up+w.bigRow, left+laneBytes
			f(lanesAt(w.small, row*w.smallRow+col*laneBytes), arg, [4]*laneValues{
				lanesAt(w.big, up+left), lanesAt(w.big, up+right),
				lanesAt(w.big, down+left), lanesAt(w.big, down+right),
			})
		}
	}
}

func genericLanePool(w *laneWindows) {
	w.each(func(small, arg *laneValues, q [4]*laneValues) {
		largest(&[4]laneValues{*q[0], *q[1], *q[2], *q[3]}, small, arg)
		finishLanes(small, small, w.bias, w.low)
	})
}

func genericLaneRoute(w *laneWindows) {
	w.each(func(small, arg *laneValues, q [4]*laneValues) {
		for i, p := range q {
			for l, v := range small {
				p[l] = 0
				if arg[l] == float32(i) {
					p[l] = v
				}
			}
		}
	})
}

func genericLaneAverage(w *laneWindows) {
	w.each(func(small, _ *laneValues, q [4]*laneValues) {
		for l := range small {
			small[l] = float32((q[0][l]+q[1][l])+(q[2][l]+q[3][l])) * 0.25
		}
	})
	for row := range 2 * w.rows {
		n := 2 * lane * w.cols
		copy(unsafe.Slice(element(w.kept, row*w.keptRow, 0), n), unsafe.Slice(element(w.big, row*w.bigRow, 0), n))
	}
}

func genericLaneScatter(w *laneWindows) {
	w.each(func(small, _ *laneValues, q [4]*laneValues) {
		for l, v := range small {
			v *= 0.25
			q[0][l], q[1][l], q[2][l], q[3][l] = v, v, v, v
		}
	})
}

// each calls f with each element in the lanes and at its example.
func (b *laneBlocks) each(f func(lanes, example *float32)) {
	var at, lanes uintptr
	for range b.rows {
		for range 4 * b.cols {
			for e, p := range b.examples {
				f(element(b.lanes, lanes, e), element(p, at, 0))
			}
			at += 4
			lanes += laneBytes
		}
		at += b.exampleSkip
		lanes += b.lanesSkip
	}
}

func (f *laneFold) generic(lanes int) {
	for i := range f.n {
		v := *lanesAt(f.x, i*laneBytes)
		*element(f.y, 4*i, 0) = sumLanes(&v, 0, lanes)
	}
}
