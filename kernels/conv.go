package kernels

// ConvForward computes, for each example n of x,
//
//	y[n][o][oh][ow] = b[o] + Σ x[n][c][oh·StrideH+kh−PadH][ow·StrideW+kw−PadW] · w[o][c][kh][kw]
//
// over k = (c, kh, kw) in that order, in pieces of 256 from the first k on; x is
// zero outside of the image. x is [N][C][H][W], w [O][C][KH][KW], y
// [N][O][OutH][OutW]; b is [O], or nil for zeros.
func ConvForward(p *Pool, s Conv, x, w, b, y []float32) {
	const op = "ConvForward"
	must(s.Check())
	n := examples(op, "x", len(x), s.In())
	length(op, "w", len(w), s.Weights())
	length(op, "y", len(y), n*s.Out())
	if b != nil {
		length(op, "b", len(b), s.O)
	}
	if plain {
		referenceConvForward(s, n, x, w, b, y)
		return
	}
	p.convForward(s, n, x, w, b, y)
}

// ConvBackwardData computes the gradient of the input from that of the output:
//
//	gx[n][c][ih][iw] = Σ gy[n][o][oh][ow] · w[o][c][kh][kw]
//
// over the k = (kh, kw, o) in that order for which oh·StrideH = ih+PadH−kh and
// ow·StrideW = iw+PadW−kw have whole solutions inside of the output. Each kh
// begins a piece, which is cut at each 256th of its (kw, o). gy is
// [N][O][OutH][OutW], gx [N][C][H][W].
func ConvBackwardData(p *Pool, s Conv, gy, w, gx []float32) {
	const op = "ConvBackwardData"
	must(s.Check())
	n := examples(op, "gy", len(gy), s.Out())
	length(op, "w", len(w), s.Weights())
	length(op, "gx", len(gx), n*s.In())
	if plain {
		referenceConvBackwardData(s, n, gy, w, gx)
		return
	}
	p.convBackwardData(s, n, gy, w, gx)
}

// ConvBackwardWeights computes the gradients of the weights and the bias, summed
// over the examples of a node of the tree of micro-batches: for micro-batch m,
// the examples n from cuts[m] to cuts[m+1],
//
//	gw[o][c][kh][kw] = Σ gy[n][o][oh][ow] · x[n][c][oh·StrideH+kh−PadH][ow·StrideW+kw−PadW]
//	gb[o]            = Σ gy[n][o][oh][ow]
//
// over (n, oh, ow) in that order, starting anew at each micro-batch; then the
// micro-batches are added as tree.Sum does, those with cuts[m] == cuts[m+1] left
// out. With P = OutH·OutW products an example, a chain takes in 256/P examples
// (rounded down) counted from the micro-batch's first; if P is above 256 it is
// cut at each 256th of an example's own, whose pieces are added in order before
// the example is added to the others.
//
// len(cuts) is one more than a power of two, and there is at least one example.
// gw is [O][C][KH][KW]; gb is [O], or nil where there is no bias.
func ConvBackwardWeights(p *Pool, s Conv, x, gy []float32, cuts []int, gw, gb []float32) {
	const op = "ConvBackwardWeights"
	must(s.Check())
	n := examples(op, "x", len(x), s.In())
	length(op, "gy", len(gy), n*s.Out())
	length(op, "gw", len(gw), s.Weights())
	if gb != nil {
		length(op, "gb", len(gb), s.O)
	}
	checkCuts(op, cuts, n)
	if plain {
		referenceConvBackwardWeights(s, x, gy, cuts, gw, gb)
		return
	}
	p.convBackwardWeights(s, x, gy, cuts, gw, gb)
}
