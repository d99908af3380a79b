package kernels

import (
	"fmt"
	"testing"

	"convoy/internal/golden"
)

// winogradConvs are shapes with every kind of edge: images smaller than a tile,
// padding above the kernel, channels that fill no group or panel, sums longer than
// a chain, more tiles of an example than a chain, and of some examples.
var winogradConvs = []Conv{
	{C: 1, H: 1, W: 1, O: 1, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1},
	{C: 16, H: 6, W: 6, O: 16, KH: 3, KW: 3, StrideH: 1, StrideW: 1},
	{C: 16, H: 9, W: 10, O: 32, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1},
	{C: 3, H: 5, W: 9, O: 35, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 4, PadW: 1},
	{C: 66, H: 4, W: 3, O: 5, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 2},
	{C: 258, H: 3, W: 3, O: 2, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1},
	{C: 1, H: 67, W: 68, O: 1, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1},
	{C: 2, H: 20, W: 22, O: 1, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1},
	{C: 1, H: 5, W: 5, O: 1, KH: 5, KW: 5, StrideH: 1, StrideW: 1},
	{C: 16, H: 6, W: 7, O: 16, KH: 5, KW: 5, StrideH: 1, StrideW: 1, PadH: 2, PadW: 2},
	{C: 5, H: 4, W: 3, O: 19, KH: 5, KW: 5, StrideH: 1, StrideW: 1, PadH: 5, PadW: 2},
	{C: 2, H: 5, W: 2, O: 50, KH: 5, KW: 5, StrideH: 1, StrideW: 1, PadH: 3, PadW: 6},
	{C: 36, H: 7, W: 9, O: 42, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 2},
	{C: 48, H: 6, W: 5, O: 48, KH: 5, KW: 5, StrideH: 1, StrideW: 1, PadH: 2, PadW: 2, Groups: 3},
}

// newWinogradPlan forces Winograd, with small blocks where asked.
func newWinogradPlan(s Conv, fused, small bool) *Convolution {
	return &Convolution{s, newGroups(s, func(s Conv) algorithm { return winogradPlan(s, fused, small) })}
}

func winogradPlan(s Conv, fused, small bool) *winograd {
	w := newWinograd(s)
	for _, q := range []*winogradPass{&w.forth, &w.back} {
		q.fusedTiles, q.blockTiles = 0, 20
		if fused {
			q.fusedTiles = 5
		}
		if small {
			q.fusedTiles, q.blockTiles = min(q.fusedTiles, 3), 3
		}
	}
	if small {
		w.gradient.blockFloats = 0
	}
	return w
}

func TestWinogradPays(t *testing.T) {
	for _, c := range []struct {
		s    Conv
		pays bool
	}{
		{squareConv(256, 56, 256, 3, 1, 1), true},
		{squareConv(192, 3, 384, 3, 1, 1), true},
		{squareConv(16, 12, 32, 5, 1, 2), true},
		{squareConv(48, 3, 128, 5, 1, 2), true},
		{squareConv(384, 5, 10, 3, 1, 1), false},
		{squareConv(3, 56, 64, 3, 1, 1), false},
		{squareConv(64, 56, 64, 3, 2, 1), false},
		{squareConv(64, 56, 64, 1, 1, 0), false},
		{squareConv(64, 2, 64, 3, 1, 1), false},
		{squareConv(16, 5, 120, 5, 1, 0), false},
	} {
		if winogradPays(c.s) != c.pays {
			t.Errorf("%+v: Winograd pays: %v, want %v", c.s, !c.pays, c.pays)
		}
	}
}

func TestWinograd(t *testing.T) {
	for i, s := range winogradConvs {
		for _, n := range []int{1, 6} {
			t.Run(fmt.Sprintf("%+v×%d", s, n), func(t *testing.T) { checkWinograd(t, s, n, uint32(i*8+n)) })
		}
	}
}

func FuzzWinograd(f *testing.F) {
	for i, s := range winogradConvs {
		f.Add(s.C, s.H, s.W, s.O, s.KH == 5, s.PadH, s.PadW, s.Groups, 3, uint32(i))
	}
	f.Fuzz(func(t *testing.T, c, h, w, o int, five bool, ph, pw, groups, n int, seed uint32) {
		s := Conv{c, h, w, o, 3, 3, 1, 1, ph, pw, groups}
		if five {
			s.KH, s.KW = 5, 5
		}
		if s.Check() != nil || n < 1 || n > 300 || s.FLOPs()*n > 5e5 || (s.In()+s.Out()+s.C*(h+2*ph)*(w+2*pw))*n > 5e4 {
			t.Skip()
		}
		checkWinograd(t, s, n, seed)
	})
}

func checkWinograd(t *testing.T, s Conv, n int, seed uint32) {
	checkAlgorithm(t, s, n, seed, convolutionReference{
		func(s Conv) *Convolution { return newWinogradPlan(s, seed%2 == 0, seed/2%2 == 0) },
		referenceWinogradForward, referenceWinogradBackwardData, referenceWinogradBackwardWeights,
	})
}

func TestGoldenWinograd(t *testing.T) {
	for _, pattern := range goldenConvolutions(t) {
		eachGolden(t, pattern, func(t *testing.T, p *Pool, c golden.Case) {
			if s, _ := goldenConv(c); winogradFits(s) {
				checkGoldenConvolution(t, p, c, newWinogradPlan(s, s.C%2 == 0, s.O%2 == 0), 1e-4)
			}
		})
	}
}

// A square is a tile in any of its forms.
type square [6][6]float32

// apply transforms by a sequence, columns first.
func (q square) apply(form int) (out square) {
	f := sequences[form]
	var columns square
	for j := range f.in {
		var in [6]float32
		for i := range f.in {
			in[i] = q[i][j]
		}
		f.apply(&in, &columns[j])
	}
	for i := range f.out {
		var in [6]float32
		for j := range f.in {
			in[j] = columns[j][i]
		}
		f.apply(&in, &out[i])
	}
	return out
}

// cutSquare is size×size values from (y, x) on.
func cutSquare(size, y, x int, at func(y, x int) float32) (q square) {
	for i := range size {
		for j := range size {
			q[i][j] = at(y+i, x+j)
		}
	}
	return q
}

// squareSum adds up products of squares, point by point.
type squareSum [6][6]termSum

func (s *squareSum) add(a, b *square) {
	for i := range s {
		for j := range s {
			s[i][j].part = fma(a[i][j], b[i][j], s[i][j].part)
		}
	}
}

func (s *squareSum) cut() {
	for i := range s {
		for j := range s {
			s[i][j].cut()
		}
	}
}

func (s *squareSum) total() (q square) {
	for i := range s {
		for j := range s {
			q[i][j] = s[i][j].total
		}
	}
	return q
}

// referencePass computes maps of outH×outW pixels from in, of h×w; weight is tap
// (i, j) from k to o, finish what becomes of output o of a pixel.
func referencePass(n, size, channels, h, w, padH, padW, outputs, outH, outW int, in Maps,
	weight func(o, k, i, j int) float32, finish func(pixel, o int, v float32),
) {
	step := 7 - size
	u := make([]square, outputs*channels)
	for i := range u {
		u[i] = cutSquare(size, 0, 0, func(y, x int) float32 { return weight(i/channels, i%channels, y, x) }).apply(kernel2 + size - 2)
	}
	v := make([]square, channels)
	for example := range n {
		for y := 0; y < outH; y += step {
			for x := 0; x < outW; x += step {
				for k := range v {
					v[k] = cutSquare(6, y-padH, x-padW, func(y, x int) float32 { return pixel(in, h, w, example, y, x, k) }).apply(inputs6)
				}
				for o := range outputs {
					var sum squareSum
					pieces := (channels + channelChain - 1) / channelChain
					for k := range v {
						sum.add(&v[k], &u[o*channels+k])
						if isBound(k+1, channels, pieces) {
							sum.cut()
						}
					}
					out := sum.total().apply(outputs2 + step - 2)
					for i := range min(step, outH-y) {
						for j := range min(step, outW-x) {
							finish((example*outH+y+i)*outW+x+j, o, out[i][j])
						}
					}
				}
			}
		}
	}
}

func referenceWinogradForward(s Conv, n int, x Maps, w, b []float32, relu bool, y Maps) {
	referencePass(n, s.KH, s.C, s.H, s.W, s.PadH, s.PadW, s.O, s.OutH(), s.OutW(), x,
		func(o, k, i, j int) float32 { return w[((o*s.C+k)*s.KH+i)*s.KW+j] },
		func(pixel, o int, v float32) {
			if b != nil {
				v = b[o] + v
			}
			if relu && 0 > v {
				v = 0
			}
			y.V[pixel*y.Pitch+o] = v
		})
}

func referenceWinogradBackwardData(s Conv, n int, gy Maps, w []float32, gx Maps, add bool) {
	referencePass(n, s.KH, s.O, s.OutH(), s.OutW(), s.KH-1-s.PadH, s.KW-1-s.PadW, s.C, s.H, s.W, gy,
		func(o, k, i, j int) float32 { return w[((k*s.C+o)*s.KH+s.KH-1-i)*s.KW+s.KW-1-j] },
		func(pixel, o int, v float32) {
			if at := &gx.V[pixel*gx.Pitch+o]; add {
				*at += v
			} else {
				*at = v
			}
		})
}

func referenceWinogradBackwardWeights(s Conv, x, gy Maps, cuts []int, gw, gb []float32) {
	referenceBackwardWeights(s, x, gy, cuts, nil, gb)
	step, n := 7-s.KH, cuts[len(cuts)-1]
	columns := (s.OutW() + step - 1) / step
	tiles := (s.OutH() + step - 1) / step * columns
	v, d := make([]square, n*tiles*s.C), make([]square, n*tiles*s.O)
	for i := range n * tiles {
		example, ty, tx := i/tiles, i%tiles/columns*step, i%columns*step
		for c := range s.C {
			v[i*s.C+c] = cutSquare(6, ty-s.PadH, tx-s.PadW, func(y, x1 int) float32 { return pixel(x, s.H, s.W, example, y, x1, c) }).apply(inputs6)
		}
		for o := range s.O {
			d[i*s.O+o] = cutSquare(step, ty, tx, func(y, x1 int) float32 { return pixel(gy, s.OutH(), s.OutW(), example, y, x1, o) }).apply(kernel2 + step - 2)
		}
	}
	for oc := range s.O * s.C {
		o, c := oc/s.C, oc%s.C
		leaves := make([]square, len(cuts)-1)
		for m := range leaves {
			var sum squareSum
			for i := cuts[m] * tiles; i < cuts[m+1]*tiles; i++ {
				sum.add(&v[i*s.C+c], &d[i*s.O+o])
				done := i + 1 - cuts[m]*tiles
				last := i+1 == cuts[m+1]*tiles
				if tiles <= tileChain && (last || done%(tileChain/tiles*tiles) == 0) ||
					tiles > tileChain && isBound((done-1)%tiles+1, tiles, (tiles+tileChain-1)/tileChain) {
					sum.cut()
				}
			}
			leaves[m] = sum.total().apply(outputs2 + s.KH - 2)
		}
		for tap := range s.KH * s.KW {
			gw[oc*s.KH*s.KW+tap], _ = treeSum(0, len(leaves), func(m int) (float32, bool) {
				return leaves[m][tap/s.KW][tap%s.KW], cuts[m] < cuts[m+1]
			})
		}
	}
}
