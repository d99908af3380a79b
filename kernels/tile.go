package kernels

// The inner loops of every product of matrices in this package. They keep their
// sums in registers: nine of them, or eight, is what the compiler fits into the
// sixteen of amd64 beside the operands; with more it spills, and a spilled sum
// waits for the memory at each addition. The check of one column's bound stands
// between its products and the next column's on purpose: it keeps the compiler
// from computing all products first and running out of registers.

// tile3x3 adds one piece of nine sums to sum:
//
//	sum[3·c+r] += Σ a[k][r] · xc[off[k]] for r = 0, 1, 2 and c = 0, 1, 2
func tile3x3(a [][3]float32, off []int32, x0, x1, x2 []float32, sum *[9]float32) {
	off = off[:len(a)]
	var s00, s10, s20, s01, s11, s21, s02, s12, s22 float32
	k := 0
	for ; k < len(a)-1; k += 2 { // by two: an eighth faster
		o := off[k]
		w0, w1, w2 := a[k][0], a[k][1], a[k][2]
		v := x0[o]
		s00 += float32(v * w0)
		s10 += float32(v * w1)
		s20 += float32(v * w2)
		v = x1[o]
		s01 += float32(v * w0)
		s11 += float32(v * w1)
		s21 += float32(v * w2)
		v = x2[o]
		s02 += float32(v * w0)
		s12 += float32(v * w1)
		s22 += float32(v * w2)
		o = off[k+1]
		w0, w1, w2 = a[k+1][0], a[k+1][1], a[k+1][2]
		v = x0[o]
		s00 += float32(v * w0)
		s10 += float32(v * w1)
		s20 += float32(v * w2)
		v = x1[o]
		s01 += float32(v * w0)
		s11 += float32(v * w1)
		s21 += float32(v * w2)
		v = x2[o]
		s02 += float32(v * w0)
		s12 += float32(v * w1)
		s22 += float32(v * w2)
	}
	if k < len(a) {
		o := off[k]
		w0, w1, w2 := a[k][0], a[k][1], a[k][2]
		v := x0[o]
		s00 += float32(v * w0)
		s10 += float32(v * w1)
		s20 += float32(v * w2)
		v = x1[o]
		s01 += float32(v * w0)
		s11 += float32(v * w1)
		s21 += float32(v * w2)
		v = x2[o]
		s02 += float32(v * w0)
		s12 += float32(v * w1)
		s22 += float32(v * w2)
	}
	sum[0] += s00
	sum[1] += s10
	sum[2] += s20
	sum[3] += s01
	sum[4] += s11
	sum[5] += s21
	sum[6] += s02
	sum[7] += s12
	sum[8] += s22
}

// tile2x4 adds one piece of eight sums to sum:
//
//	sum[2·c+r] += Σ a[k][r] · xc[off[k]] for r = 0, 1 and c = 0 … 3
func tile2x4(a [][2]float32, off []int32, x0, x1, x2, x3 []float32, sum *[8]float32) {
	off = off[:len(a)]
	var s00, s10, s01, s11, s02, s12, s03, s13 float32
	for k := range a {
		o := off[k]
		w0, w1 := a[k][0], a[k][1]
		v := x0[o]
		s00 += float32(v * w0)
		s10 += float32(v * w1)
		v = x1[o]
		s01 += float32(v * w0)
		s11 += float32(v * w1)
		v = x2[o]
		s02 += float32(v * w0)
		s12 += float32(v * w1)
		v = x3[o]
		s03 += float32(v * w0)
		s13 += float32(v * w1)
	}
	sum[0] += s00
	sum[1] += s10
	sum[2] += s01
	sum[3] += s11
	sum[4] += s02
	sum[5] += s12
	sum[6] += s03
	sum[7] += s13
}
