package kernels

import (
	"math/bits"

	"convoy/tree"
)

// plain makes the exported functions use the references; tests set it.
var plain bool

// The functions of this file are the doc comments of the exported ones, written
// out. They are slow and allocate; the fast paths are checked against them.

// A chain adds products in pieces.
type chain struct {
	total, part float32
	n           int
}

func (c *chain) add(a, b float32) {
	c.part += float32(a * b)
	if c.n++; c.n == piece {
		c.cut()
	}
}

// cut ends a piece, if one has begun.
func (c *chain) cut() {
	if c.n > 0 {
		c.total += c.part
		c.part, c.n = 0, 0
	}
}

func (c *chain) sum() float32 { c.cut(); return c.total }

// at is plane[h][w] of a plane rows×cols, or zero outside of it.
func at(plane []float32, rows, cols, h, w int) float32 {
	if h < 0 || w < 0 || h >= rows || w >= cols {
		return 0
	}
	return plane[h*cols+w]
}

func referenceConvForward(s Conv, n int, x, w, b, y []float32) {
	i := 0
	for n := range n {
		for o := range s.O {
			for oh := range s.OutH() {
				for ow := range s.OutW() {
					var sum chain
					if b != nil {
						sum.total = b[o]
					}
					k := o * s.C * s.KH * s.KW
					for c := range s.C {
						plane := x[(n*s.C+c)*s.H*s.W:]
						for kh := range s.KH {
							for kw := range s.KW {
								sum.add(at(plane, s.H, s.W, oh*s.StrideH+kh-s.PadH, ow*s.StrideW+kw-s.PadW), w[k])
								k++
							}
						}
					}
					y[i] = sum.sum()
					i++
				}
			}
		}
	}
}

func referenceConvBackwardData(s Conv, n int, gy, w, gx []float32) {
	rows, cols := s.OutH(), s.OutW()
	i := 0
	for n := range n {
		for c := range s.C {
			for ih := range s.H {
				for iw := range s.W {
					var sum chain
					for kh := range s.KH {
						for kw := range s.KW {
							h, v := ih+s.PadH-kh, iw+s.PadW-kw
							if h%s.StrideH != 0 || v%s.StrideW != 0 {
								continue
							}
							oh, ow := h/s.StrideH, v/s.StrideW
							if oh < 0 || oh >= rows || ow < 0 || ow >= cols {
								continue
							}
							for o := range s.O {
								sum.add(gy[((n*s.O+o)*rows+oh)*cols+ow], w[((o*s.C+c)*s.KH+kh)*s.KW+kw])
							}
						}
						sum.cut()
					}
					gx[i] = sum.sum()
					i++
				}
			}
		}
	}
}

func referenceConvBackwardWeights(s Conv, x, gy []float32, cuts []int, gw, gb []float32) {
	pixels := s.OutH() * s.OutW()
	node := tree.Node{Low: 0, High: len(cuts) - 1}
	scratch := treeScratch(node, len(gw))
	tree.Sum(node, gw, scratch, func(m int, dst []float32) bool {
		for i := range dst {
			kw, kh, c, o := i%s.KW, i/s.KW%s.KH, i/(s.KW*s.KH)%s.C, i/(s.KW*s.KH*s.C)
			dst[i] = referenceSum(cuts[m], cuts[m+1], pixels, func(n, p int) (float32, float32) {
				oh, ow := p/s.OutW(), p%s.OutW()
				plane := x[(n*s.C+c)*s.H*s.W:]
				return gy[(n*s.O+o)*pixels+p], at(plane, s.H, s.W, oh*s.StrideH+kh-s.PadH, ow*s.StrideW+kw-s.PadW)
			})
		}
		return cuts[m] < cuts[m+1]
	})
	if gb == nil {
		return
	}
	tree.Sum(node, gb, scratch, func(m int, dst []float32) bool {
		for o := range dst {
			dst[o] = referenceSum(cuts[m], cuts[m+1], pixels, func(n, p int) (float32, float32) {
				return gy[(n*s.O+o)*pixels+p], 1
			})
		}
		return cuts[m] < cuts[m+1]
	})
}

// referenceSum is the sum of a micro-batch, the examples from low to high with
// pixels products each; the bias is a weight whose input is 1.
func referenceSum(low, high, pixels int, product func(n, p int) (a, b float32)) float32 {
	var total float32
	group := max(1, piece/pixels)
	for first := low; first < high; first += group {
		var sum chain
		for n := first; n < min(first+group, high); n++ {
			for p := range pixels {
				sum.add(product(n, p))
			}
		}
		total += sum.sum()
	}
	return total
}

func treeScratch(node tree.Node, n int) [][]float32 {
	scratch := make([][]float32, bits.Len(uint(node.High-node.Low)))
	for i := range scratch {
		scratch[i] = make([]float32, n)
	}
	return scratch
}
