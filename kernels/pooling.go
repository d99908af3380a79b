package kernels

import "math"

// MaxPoolForward computes, for each plane of x,
//
//	y[oh][ow] = max x[oh·StrideH+kh−PadH][ow·StrideW+kw−PadW] over kh, kw
//
// with −∞ outside of the plane, and keeps in arg where the maximum is: the first
// one in row-major order of the window, as ih·W+iw in its plane. x is
// [N][C][H][W]; y and arg are [N][C][OutH][OutW].
func MaxPoolForward(p *Pool, s Pool2D, x, y []float32, arg []int32) {
	const op = "MaxPoolForward"
	must(s.Check())
	n := examples(op, "x", len(x), s.In())
	length(op, "y", len(y), n*s.Out())
	length(op, "arg", len(arg), n*s.Out())
	in, out := s.H*s.W, s.OutH()*s.OutW()
	for i := range n * s.C {
		s.maxPlane(x[i*in:(i+1)*in], y[i*out:(i+1)*out], arg[i*out:(i+1)*out])
	}
}

func (s Pool2D) maxPlane(x, y []float32, arg []int32) {
	i := 0
	for oh := range s.OutH() {
		h0, h1 := window(oh, s.StrideH, s.PadH, s.KH, s.H)
		for ow := range s.OutW() {
			w0, w1 := window(ow, s.StrideW, s.PadW, s.KW, s.W)
			best, where := float32(math.Inf(-1)), h0*s.W+w0
			for h := h0; h < h1; h++ {
				for w := w0; w < w1; w++ {
					if v := x[h*s.W+w]; v > best {
						best, where = v, h*s.W+w
					}
				}
			}
			y[i], arg[i] = best, int32(where)
			i++
		}
	}
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
	in, out := s.H*s.W, s.OutH()*s.OutW()
	for i := range n * s.C {
		gx := gx[i*in : (i+1)*in]
		clear(gx)
		for j, a := range arg[i*out : (i+1)*out] {
			gx[a] += gy[i*out+j]
		}
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
	in, out := s.H*s.W, s.OutH()*s.OutW()
	for i := range n * s.C {
		s.avgPlane(x[i*in:(i+1)*in], y[i*out:(i+1)*out])
	}
}

func (s Pool2D) avgPlane(x, y []float32) {
	i := 0
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

func (s Pool2D) count(h0, h1, w0, w1 int) float32 {
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
	in, out := s.H*s.W, s.OutH()*s.OutW()
	for i := range n * s.C {
		s.avgPlaneBackward(gy[i*out:(i+1)*out], gx[i*in:(i+1)*in])
	}
}

func (s Pool2D) avgPlaneBackward(gy, gx []float32) {
	clear(gx)
	i := 0
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
