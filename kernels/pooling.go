package kernels

import (
	"fmt"
	"unsafe"
)

// MaxPoolForward computes, for each channel of x,
//
//	y[oh][ow] = max x[oh·StrideH+kh−PadH][ow·StrideW+kw−PadW] over kh, kw
//
// over the positions inside of the image, and keeps in arg where the maximum is:
// the first one in row-major order of the window, as kh·KW+kw. A NaN counts as
// greater than anything, a later one than an earlier one. x is [N][H][W][C], y
// and arg, which is dense, are [N][OutH][OutW][C]. A window has at most 255
// elements. Where nobody wants arg, for evaluation, it is nil.
//
// With s.ReLU, x is the output of a ReLU whose gradient MaxPoolBackward is to take
// too: arg is 255, which is nowhere, unless y > 0.
func MaxPoolForward(p *Pool, s Pool2D, n int, x, y Maps, arg []uint8) {
	const op = "MaxPoolForward"
	s.checkMax(op)
	x.check(op, "x", n*s.H*s.W, s.C)
	y.check(op, "y", n*s.OutH()*s.OutW(), s.C)
	if arg != nil {
		length(op, "arg", len(arg), n*s.Out())
	}
	p.pool(poolingJob{s: s, n: n, x: x, y: y, arg: arg, op: opMaxPool})
}

// noArg is the arg of an output whose gradient goes nowhere.
const noArg = 255

// checkMax panics unless arg can hold every position of a window.
func (s Pool2D) checkMax(op string) {
	must(s.Check())
	if s.KH*s.KW > noArg {
		panic(fmt.Sprintf("kernels: %s: a window of %d×%d elements, want at most %d", op, s.KH, s.KW, noArg))
	}
}

// MaxPoolBackward gives each output's gradient to the input that was its maximum,
// seen from the inputs:
//
//	gx[ih][iw] = Σ gy[oh][ow] where arg[oh][ow] is (ih, iw)
//
// over the windows that cover the input, in row-major order from +0; with add,
// gx becomes gx plus that sum. gy and arg are [N][OutH][OutW][C], gx [N][H][W][C].
func MaxPoolBackward(p *Pool, s Pool2D, n int, gy Maps, arg []uint8, gx Maps, add bool) {
	const op = "MaxPoolBackward"
	s.checkMax(op)
	gy.check(op, "gy", n*s.OutH()*s.OutW(), s.C)
	length(op, "arg", len(arg), n*s.Out())
	gx.check(op, "gx", n*s.H*s.W, s.C)
	p.pool(poolingJob{s: s, n: n, x: gy, y: gx, arg: arg, add: add, op: opMaxPoolBackward, backward: true})
}

// AvgPoolForward computes, for each channel of x,
//
//	y[oh][ow] = Σ x[oh·StrideH+kh−PadH][ow·StrideW+kw−PadW] / count
//
// over the kh, kw in row-major order that lie inside of the image, with a true
// division; count is KH·KW if CountPad is set and the number of terms otherwise.
// The sum is cut after every 256 terms; each piece starts at +0, and the pieces
// are added in order to the first. x is [N][H][W][C], y [N][OutH][OutW][C].
func AvgPoolForward(p *Pool, s Pool2D, n int, x, y Maps) {
	const op = "AvgPoolForward"
	must(s.Check())
	x.check(op, "x", n*s.H*s.W, s.C)
	y.check(op, "y", n*s.OutH()*s.OutW(), s.C)
	p.pool(poolingJob{s: s, n: n, x: x, y: y, op: opAvgPool})
}

// AvgPoolBackward spreads each output's gradient evenly over its window, seen from
// the inputs:
//
//	gx[ih][iw] = Σ gy[oh][ow] / count
//
// over the windows that cover the input, in row-major order, cut as in
// AvgPoolForward; with add, gx becomes gx plus that sum. gy is [N][OutH][OutW][C],
// gx [N][H][W][C].
func AvgPoolBackward(p *Pool, s Pool2D, n int, gy, gx Maps, add bool) {
	const op = "AvgPoolBackward"
	must(s.Check())
	gy.check(op, "gy", n*s.OutH()*s.OutW(), s.C)
	gx.check(op, "gx", n*s.H*s.W, s.C)
	p.pool(poolingJob{s: s, n: n, x: gy, y: gx, add: add, op: opAvgPoolBackward, backward: true})
}

// window returns the part of window i that lies inside of the input.
func window(i, stride, pad, kernel, size int) (low, high int) {
	low = i*stride - pad
	return max(low, 0), min(low+kernel, size)
}

// covering returns the windows, of which there are outs, that cover input i.
func covering(i, stride, pad, kernel, outs int) (low, high int) {
	// Window o covers o·stride−pad … o·stride−pad+kernel−1.
	low = max(0, (i+pad-kernel+stride)/stride)
	return low, max(low, min((i+pad)/stride+1, outs))
}

func (s *Pool2D) count(h0, h1, w0, w1 int) float32 {
	if s.CountPad {
		return float32(s.KH * s.KW)
	}
	return float32((h1 - h0) * (w1 - w0))
}

// poolingJob is the job of the poolings: a task is some rows of y. Forward, x and
// y are the maps before and after; backward, gradients, the other way round.
type poolingJob struct {
	s        Pool2D
	n        int
	x, y     Maps
	arg      []uint8
	add      bool
	op       poolingOp
	backward bool
	outH     int // of the forward pass
	outW     int
	batch    int // rows of a task
	args     []windows
}

func (p *Pool) pool(j poolingJob) {
	j.args = p.ops.pooling.args
	if len(j.args) < p.threads {
		j.args = make([]windows, p.threads)
	}
	j.outH, j.outW = j.s.OutH(), j.s.OutW()
	j.batch = max(1, taskFloats/(j.width()*j.s.C))
	if j.backward && j.streams() {
		j.op++ // to the one past the cache
	}
	p.ops.pooling = j
	p.run((j.n*j.height()+j.batch-1)/j.batch, &p.ops.pooling)
	p.ops.pooling = poolingJob{args: j.args}
}

// streamed is from how many floats on results that nothing is added to go past the
// cache: they would not stay, and their lines need not be read first.
var streamed = 1 << 23

func (j *poolingJob) streams() bool {
	floats := j.n * j.s.In()
	return !j.add && floats >= streamed && j.y.Pitch%vectorGroup == 0 && j.s.C%vectorGroup == 0 &&
		uintptr(unsafe.Pointer(unsafe.SliceData(j.y.V)))%alignment == 0
}

// height and width are those of y.
func (j *poolingJob) height() int {
	if j.backward {
		return j.s.H
	}
	return j.outH
}

func (j *poolingJob) width() int {
	if j.backward {
		return j.s.W
	}
	return j.outW
}

func (j *poolingJob) do(thread, task int) {
	low := task * j.batch
	for i := low; i < min(low+j.batch, j.n*j.height()); i++ {
		if j.backward {
			j.backwardRow(&j.args[thread], i/j.s.H, i%j.s.H)
		} else {
			j.forwardRow(&j.args[thread], i/j.outH, i%j.outH)
		}
	}
}

// forwardRow computes row oh of example n, the pixels whose windows have one width
// at a time.
func (j *poolingJob) forwardRow(a *windows, n, oh int) {
	s := &j.s
	h0, h1 := window(oh, s.StrideH, s.PadH, s.KH, s.H)
	for ow := 0; ow < j.outW; {
		w0, w1 := window(ow, s.StrideW, s.PadW, s.KW, s.W)
		k := (h0+s.PadH-oh*s.StrideH)*s.KW + w0 + s.PadW - ow*s.StrideW
		run := 1
		if w1-w0 == s.KW {
			run = (s.W+s.PadW-s.KW)/s.StrideW - ow + 1 // windows that end inside
		}
		pixel := (n*j.outH+oh)*j.outW + ow
		*a = windows{
			x:    j.x.at((n*s.H+h0)*s.W+w0, 0),
			xCol: uintptr(4 * j.x.Pitch), xSeg: uintptr(4 * j.x.Pitch * (s.W - w1 + w0)),
			xStep: uintptr(4 * j.x.Pitch * s.StrideW),
			y:     j.y.at(pixel, 0), yStep: uintptr(4 * j.y.Pitch),
			rows: h1 - h0, cols: w1 - w0, pixels: run, n: s.C,
			k: int32(k), kCol: 1, kSeg: int32(s.KW - w1 + w0),
			count: s.count(h0, h1, w0, w1),
		}
		if s.ReLU {
			a.none = noArg
		}
		op := j.op
		if j.arg != nil {
			a.arg, a.argStep = unsafe.Pointer(&j.arg[pixel*s.C]), uintptr(s.C)
			op = opMaxPoolArg
		}
		a.apply(op)
		ow += run
	}
}

// backwardRow computes row ih of example n. Of the pixels of a row, every
// StrideW-th sees its windows in the same places, so long as there are equally
// many.
func (j *poolingJob) backwardRow(a *windows, n, ih int) {
	s := &j.s
	h0, h1 := covering(ih, s.StrideH, s.PadH, s.KH, j.outH)
	for phase := range min(s.StrideW, s.W) {
		for iw := phase; iw < s.W; {
			w0, w1 := covering(iw, s.StrideW, s.PadW, s.KW, j.outW)
			run := 1
			for next := iw + s.StrideW; next < s.W; next += s.StrideW {
				if v0, v1 := covering(next, s.StrideW, s.PadW, s.KW, j.outW); v0 != w0+run || v1 != w1+run {
					break
				}
				run++
			}
			j.backwardRun(a, n, ih, iw, run, h0, h1, w0, w1)
			iw += run * s.StrideW
		}
	}
}

// backwardRun computes run pixels from (ih, iw) on, StrideW apart; the windows
// that cover the first are h0 … h1−1 and w0 … w1−1.
func (j *poolingJob) backwardRun(a *windows, n, ih, iw, run, h0, h1, w0, w1 int) {
	s := &j.s
	rest := j.outW - w1 + w0 // pixels to the next row of windows
	*a = windows{
		xCol: uintptr(4 * j.x.Pitch), xSeg: uintptr(4 * j.x.Pitch * rest), xStep: uintptr(4 * j.x.Pitch),
		y: j.y.at((n*s.H+ih)*s.W+iw, 0), yStep: uintptr(4 * j.y.Pitch * s.StrideW),
		argCol: uintptr(s.C), argSeg: uintptr(s.C * rest), argStep: uintptr(s.C),
		rows: h1 - h0, cols: w1 - w0, pixels: run, n: s.C,
		k:     int32((ih+s.PadH-h0*s.StrideH)*s.KW + iw + s.PadW - w0*s.StrideW),
		kCol:  int32(-s.StrideW),
		kSeg:  int32(-s.StrideH*s.KW + s.StrideW*(w1-w0)),
		count: float32(s.KH * s.KW),
	}
	if j.add {
		a.add = 1
	}
	op := j.op
	if h0 == h1 || w0 == w1 {
		a.rows, a.cols = 0, 0
		a.apply(op)
		return
	}
	pixel := (n*j.outH+h0)*j.outW + w0
	a.x = j.x.at(pixel, 0)
	if j.arg != nil {
		a.arg = unsafe.Pointer(&j.arg[pixel*s.C])
	}
	if op >= opAvgPool && !s.CountPad && (s.PadH > 0 || s.PadW > 0) {
		a.s, a.oh, a.ow = s, h0, w0
	}
	a.apply(op)
}
