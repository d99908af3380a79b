package kernels

import "math"

// MaxPoolForward computes, for each plane of x,
//
//	y[oh][ow] = max x[oh·StrideH+kh−PadH][ow·StrideW+kw−PadW] over kh, kw
//
// with −∞ outside of the plane, and keeps in arg where the maximum is: the first
// one in row-major order of the window, as ih·W+iw in its plane. A NaN counts as
// greater than anything. x is
// [N][C][H][W]; y and arg are [N][C][OutH][OutW].
func MaxPoolForward(p *Pool, s Pool2D, x, y []float32, arg []int32) {
	const op = "MaxPoolForward"
	must(s.Check())
	n := examples(op, "x", len(x), s.In())
	length(op, "y", len(y), n*s.Out())
	length(op, "arg", len(arg), n*s.Out())
	p.planes(planes{s: s, n: n * s.C, a: x, b: y, arg: arg, each: maxPlane})
}

func maxPlane(j *planes, i int) {
	s := &j.s
	x, y, arg := plane(j.a, i, s.H*s.W), plane(j.b, i, j.out), plane(j.arg, i, j.out)
	if s.KH == 2 && s.KW == 2 && s.StrideW == 2 && s.PadH == 0 && s.PadW == 0 && !plain {
		s.maxPlane2(x, y, arg)
		return
	}
	i = 0
	for oh := range s.OutH() {
		h0, h1 := window(oh, s.StrideH, s.PadH, s.KH, s.H)
		for ow := range s.OutW() {
			w0, w1 := window(ow, s.StrideW, s.PadW, s.KW, s.W)
			best, where := float32(math.Inf(-1)), h0*s.W+w0
			for h := h0; h < h1; h++ {
				for w := w0; w < w1; w++ {
					if v := x[h*s.W+w]; v > best || v != v {
						best, where = v, h*s.W+w
					}
				}
			}
			y[i], arg[i] = best, int32(where)
			i++
		}
	}
}

// maxPlane2 is maxPlane for the common window of 2×2. Which of four numbers is
// the greatest cannot be predicted, so there are no branches.
func (s *Pool2D) maxPlane2(x, y []float32, arg []int32) {
	cols := s.OutW()
	for oh := range s.OutH() {
		at := oh * s.StrideH * s.W
		top, bottom := x[at:][:2*cols], x[at+s.W:][:2*cols]
		y, arg := y[oh*cols:][:cols], arg[oh*cols:][:cols]
		for i := range y {
			best, where := math.Float32bits(top[2*i]), int32(at)
			best, where = greater(best, where, top[2*i+1], int32(at+1))
			best, where = greater(best, where, bottom[2*i], int32(at+s.W))
			best, where = greater(best, where, bottom[2*i+1], int32(at+s.W+1))
			y[i], arg[i] = math.Float32frombits(best), where
			at += 2
		}
	}
}

// greater is v and its place if it is greater than best or NaN. The compiler makes
// conditional moves of it, since best is an integer.
func greater(best uint32, where int32, v float32, at int32) (uint32, int32) {
	bits, b := math.Float32bits(v), math.Float32frombits(best)
	if v > b {
		best = bits
	}
	if v > b {
		where = at
	}
	if v != v {
		best = bits
	}
	if v != v {
		where = at
	}
	return best, where
}

// window returns the part of window i that lies inside of the input.
func window(i, stride, pad, kernel, size int) (low, high int) {
	low = i*stride - pad
	return max(low, 0), min(low+kernel, size)
}

// MaxPoolBackward gives each output's gradient to the input that was its maximum:
//
//	gx = 0; gx[arg[i]] += gy[i] for i = 0 … of each plane, in order
//
// gy and arg are [N][C][OutH][OutW], gx [N][C][H][W].
func MaxPoolBackward(p *Pool, s Pool2D, gy []float32, arg []int32, gx []float32) {
	const op = "MaxPoolBackward"
	must(s.Check())
	n := examples(op, "gy", len(gy), s.Out())
	length(op, "arg", len(arg), n*s.Out())
	length(op, "gx", len(gx), n*s.In())
	p.planes(planes{s: s, n: n * s.C, a: gx, b: gy, arg: arg, each: maxPlaneBackward})
}

func maxPlaneBackward(j *planes, i int) {
	gx, gy := plane(j.a, i, j.s.H*j.s.W), plane(j.b, i, j.out)
	clear(gx)
	for k, a := range plane(j.arg, i, j.out) {
		gx[a] += gy[k]
	}
}

// AvgPoolForward computes, for each plane of x,
//
//	y[oh][ow] = Σ x[oh·StrideH+kh−PadH][ow·StrideW+kw−PadW] / count
//
// over the kh, kw in row-major order that lie inside of the plane, with a true
// division; count is KH·KW if CountPad is set and the number of terms otherwise.
// x is [N][C][H][W], y [N][C][OutH][OutW].
func AvgPoolForward(p *Pool, s Pool2D, x, y []float32) {
	const op = "AvgPoolForward"
	must(s.Check())
	n := examples(op, "x", len(x), s.In())
	length(op, "y", len(y), n*s.Out())
	p.planes(planes{s: s, n: n * s.C, a: x, b: y, each: avgPlane})
}

func avgPlane(j *planes, i int) {
	s := &j.s
	x, y := plane(j.a, i, s.H*s.W), plane(j.b, i, j.out)
	i = 0
	for oh := range s.OutH() {
		h0, h1 := window(oh, s.StrideH, s.PadH, s.KH, s.H)
		for ow := range s.OutW() {
			w0, w1 := window(ow, s.StrideW, s.PadW, s.KW, s.W)
			var sum float32
			for h := h0; h < h1; h++ {
				for w := w0; w < w1; w++ {
					sum += x[h*s.W+w]
				}
			}
			y[i] = sum / s.count(h0, h1, w0, w1)
			i++
		}
	}
}

func (s *Pool2D) count(h0, h1, w0, w1 int) float32 {
	if s.CountPad {
		return float32(s.KH * s.KW)
	}
	return float32((h1 - h0) * (w1 - w0))
}

// AvgPoolBackward spreads each output's gradient evenly over its window:
//
//	gx = 0; gx[ih][iw] += gy[oh][ow] / count for (oh, ow) in row-major order
//
// gy is [N][C][OutH][OutW], gx [N][C][H][W].
func AvgPoolBackward(p *Pool, s Pool2D, gy, gx []float32) {
	const op = "AvgPoolBackward"
	must(s.Check())
	n := examples(op, "gy", len(gy), s.Out())
	length(op, "gx", len(gx), n*s.In())
	p.planes(planes{s: s, n: n * s.C, a: gx, b: gy, each: avgPlaneBackward})
}

func avgPlaneBackward(j *planes, i int) {
	s := &j.s
	gx, gy := plane(j.a, i, s.H*s.W), plane(j.b, i, j.out)
	clear(gx)
	i = 0
	for oh := range s.OutH() {
		h0, h1 := window(oh, s.StrideH, s.PadH, s.KH, s.H)
		for ow := range s.OutW() {
			w0, w1 := window(ow, s.StrideW, s.PadW, s.KW, s.W)
			g := gy[i] / s.count(h0, h1, w0, w1)
			for h := h0; h < h1; h++ {
				for w := w0; w < w1; w++ {
					gx[h*s.W+w] += g
				}
			}
			i++
		}
	}
}

// planes is the job of the poolings: a task is some of the n planes.
type planes struct {
	s     Pool2D
	n     int
	a, b  []float32 // the planes before pooling and after it
	arg   []int32
	each  func(j *planes, i int) // does plane i
	out   int                    // elements of a plane after pooling
	batch int                    // planes in a task
}

// taskFloats is about how many elements a task of the cheap operations has.
const taskFloats = 1 << 14

func (p *Pool) planes(j planes) {
	j.out = j.s.OutH() * j.s.OutW()
	j.batch = max(1, taskFloats/(j.s.H*j.s.W))
	p.ops.planes = j
	p.run((j.n+j.batch-1)/j.batch, &p.ops.planes)
}

func (j *planes) do(_, task int) {
	for i := task * j.batch; i < min((task+1)*j.batch, j.n); i++ {
		j.each(j, i)
	}
}

// plane is the i-th size elements of v.
func plane[T any](v []T, i, size int) []T { return v[i*size:][:size] }
