package kernels

// SquaredDistance computes, for each example n of outputs y [N][classes] with the
// label l, the squared distance of its outputs to the target t, which is 1 for
// class l and 0 for the others:
//
//	losses[n] = Σ (y[j] − t[j])²
//	gy[n][j]  = 2·(y[j] − t[j])
//
// in float64, over j in order; gy is then rounded to float32. Its arguments and
// its result are those of SoftmaxCrossEntropy.
func SquaredDistance(p *Pool, classes int, y []float32, labels []int32, losses []float64, gy []float32) Hits {
	return p.losses("SquaredDistance", lossJob{f: squaredDistance}, classes, y, labels, losses, gy)
}

func squaredDistance(y []float32, label int, _ []float64, gy []float32) (loss float64) {
	for j, v := range y {
		d := float64(v)
		if j == label {
			d--
		}
		loss += float64(d * d)
		if gy != nil {
			gy[j] = float32(2 * d)
		}
	}
	return loss
}
