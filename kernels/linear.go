package kernels

// LinearForward computes, for each example n of x,
//
//	y[n][o] = b[o] + Σ x[n][i] · w[o][i]
//
// over i in order, in pieces of 256. x is [N][I], w [O][I], y [N][O]; b is [O],
// or nil for zeros.
func LinearForward(p *Pool, s Linear, x, w, b, y []float32) {
	const op = "LinearForward"
	must(s.Check())
	n := examples(op, "x", len(x), s.I)
	length(op, "w", len(w), s.Weights())
	length(op, "y", len(y), n*s.O)
	if b != nil {
		length(op, "b", len(b), s.O)
	}
	ConvForward(p, s.conv(), x, w, b, y)
}

// LinearBackwardData computes the gradient of the input from that of the output:
//
//	gx[n][i] = Σ gy[n][o] · w[o][i]
//
// over o in order, in pieces of 256. gy is [N][O], gx [N][I].
func LinearBackwardData(p *Pool, s Linear, gy, w, gx []float32) {
	const op = "LinearBackwardData"
	must(s.Check())
	n := examples(op, "gy", len(gy), s.O)
	length(op, "w", len(w), s.Weights())
	length(op, "gx", len(gx), n*s.I)
	ConvBackwardData(p, s.conv(), gy, w, gx)
}

// LinearBackwardWeights computes the gradients of the weights and the bias, summed
// over the examples of a node of the tree of micro-batches: for micro-batch m,
// the examples n from cuts[m] to cuts[m+1],
//
//	gw[o][i] = Σ gy[n][o] · x[n][i]
//	gb[o]    = Σ gy[n][o]
//
// over n in order, in pieces of 256 examples counted from the micro-batch's
// first; then the micro-batches are added as tree.Sum does, those with
// cuts[m] == cuts[m+1] left out. len(cuts) is one more than a power of two, and
// there is at least one example. gw is [O][I]; gb is [O], or nil where there is
// no bias.
func LinearBackwardWeights(p *Pool, s Linear, x, gy []float32, cuts []int, gw, gb []float32) {
	const op = "LinearBackwardWeights"
	must(s.Check())
	n := examples(op, "x", len(x), s.I)
	length(op, "gy", len(gy), n*s.O)
	length(op, "gw", len(gw), s.Weights())
	if gb != nil {
		length(op, "gb", len(gb), s.O)
	}
	checkCuts(op, cuts, n)
	ConvBackwardWeights(p, s.conv(), x, gy, cuts, gw, gb)
}

// conv is the convolution that the layer is: a kernel of one pixel on images of
// one pixel.
func (s Linear) conv() Conv {
	return Conv{C: s.I, H: 1, W: 1, O: s.O, KH: 1, KW: 1, StrideH: 1, StrideW: 1}
}
