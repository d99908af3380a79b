package kernels

// A winograd convolves by Winograd's F(m×m, r×r) with stride 1, r being 3 or 5 and
// m = 7−r: the output is cut into tiles of m×m, each made from 6×6 inputs in the
// form of Lavin and Gray ("Fast Algorithms for Convolutional Neural Networks",
// 2016) with 36 multiplications where the definition has m²r². The tile of row ty
// and column tx begins at output (m·ty, m·tx); tiles reach over the edges, and
// inputs outside of the image are zeros. With the transforms of inputSequence,
// outputSequence and kernelSequence in two dimensions (see transform),
//
//	V[t] = inputs6 of tile t of x
//	U    = kernel3 or kernel5 of w
//	M[t][o] = Σ V[t][c]·U[c][o], at each of the 36 points
//	y[t] = max(low, b + outputs4 or outputs2 of M[t])
//
// The sum over c is cut evenly into as few FMA chains as have at most 96
// products, added in order. Backward-data is the same with gy for x, the kernel
// turned by 180° and its channels exchanged, and with what gx holds for b where it
// is to be added to.
//
// Backward-weights convolves x with the tiles of gy as kernels, once more from 6×6
// inputs: with the tiles t of gy at m·ty, m·tx, zeros outside, and the tiles of x
// as above,
//
//	D[t] = kernel4 or kernel2 of tile t of gy
//	S[c][o] = Σ V[t][c]·D[t][o], at each of the 36 points, over a micro-batch
//	gw[c][o] = outputs3 or outputs5 of S[c][o]
//
// The sum runs over examples, the tiles of one in row-major order, in pieces of one
// FMA chain each: as many whole examples as have at most 128 tiles, counted from
// the micro-batch's first; the tiles of one example cut evenly into as few pieces
// as have at most 128 where it has more. Pieces are added in order, micro-batches
// after the transform of the output, as tree.Sum does.
type winograd struct {
	s        Conv
	isa      *isa
	forth    winogradPass
	back     winogradPass
	gradient winogradGradient
}

// The greatest numbers of products in a chain over channels and in one over tiles,
// less than the direct algorithm's: the transform of the output magnifies their
// errors.
const (
	channelChain = 96
	tileChain    = 128
)

// winogradFits reports whether winograd can compute s at all.
func winogradFits(s Conv) bool {
	return s.KH == s.KW && (s.KH == 3 || s.KH == 5) && s.StrideH == 1 && s.StrideW == 1
}

// winogradPays reports whether winograd is faster than the direct algorithm, in
// each direction (BenchmarkWinograd): where there are channels enough to fill
// vectors, and tiles that reach over the edges do not use up what it saves.
func winogradPays(s Conv) bool {
	if !winogradFits(s) || s.C < 16 || s.O < 16 {
		return false
	}
	step := 7 - s.KH
	tiles := max(newGrid(s.OutH(), s.OutW(), step).tiles(), newGrid(s.H, s.W, step).tiles())
	return 4*winogradPoints*tiles <= 3*s.OutH()*s.OutW()*s.KH*s.KW
}

func newWinograd(s Conv) *winograd {
	k := s.KH
	w := &winograd{s: s, isa: active}
	w.forth = winogradPass{
		isa: active, taps: k, k: s.C, o: s.O,
		in:   patches{c: s.C, h: s.H, w: s.W, padH: s.PadH, padW: s.PadW},
		outH: s.OutH(), outW: s.OutW(),
		kStep: k * k, oStep: k * k * s.C,
	}
	w.back = winogradPass{
		isa: active, taps: k, k: s.O, o: s.C,
		in:   patches{c: s.O, h: s.OutH(), w: s.OutW(), padH: k - 1 - s.PadH, padW: k - 1 - s.PadW},
		outH: s.H, outW: s.W,
		kStep: k * k * s.C, oStep: k * k, turned: true,
	}
	w.forth.plan()
	w.back.plan()
	w.gradient = newWinogradGradient(s)
	return w
}

func (w *winograd) name() string {
	if w.s.KH == 5 {
		return "Winograd F(2×2,5×5)"
	}
	return "Winograd F(4×4,3×3)"
}

func (w *winograd) pack(p *Pool, weights []float32, backward bool) {
	w.forth.pack(p, weights)
	if backward {
		w.back.pack(p, weights)
	}
}

func (w *winograd) forward(p *Pool, n int, x Maps, b []float32, relu bool, y Maps) {
	q := &w.forth
	q.bias = nil
	if b != nil {
		q.bias = q.paddedBias
		copy(q.bias, b)
	}
	q.add, q.low = false, noLow
	if relu {
		q.low = 0
	}
	q.run(p, n, x, y)
}

func (w *winograd) backwardData(p *Pool, n int, gy, gx Maps, add bool) {
	w.back.add, w.back.low = add, noLow
	w.back.run(p, n, gy, gx)
}

func (w *winograd) backwardWeights(p *Pool, x, gy Maps, cuts []int, gw, gb []float32) {
	w.gradient.run(p, x, gy, cuts, gw, gb)
}

func (w *winograd) bytes(cuts []int) int {
	n := cuts[len(cuts)-1]
	return w.forth.bytes(n) + w.back.bytes(n) + w.gradient.bytes(cuts)
}
