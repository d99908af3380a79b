package kernels

import "convoy/fmath"

// The losses of outputs that are penalties: the less, the likelier the class. They
// are those of LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied
// to document recognition", 1998, section II.C. The answer is the least penalty,
// the first of equals; all else is as in SoftmaxCrossEntropy.

// RightPenalty computes, for each example n of penalties y [N][classes], that of
// its label l (equation 8):
//
//	losses[n] = y[l]
//	gy[n][j]  = 1 if j = l, else 0
func RightPenalty(p *Pool, classes int, y []float32, labels []int32, losses []float64, gy []float32) Hits {
	return p.losses("RightPenalty", lossJob{f: rightPenalty, least: true}, classes, y, labels, losses, gy)
}

func rightPenalty(y []float32, label int, _ []float64, gy []float32) float64 {
	loss := float64(y[label])
	if gy != nil {
		clear(gy)
		gy[label] = 1
	}
	return loss
}

// RubbishPenalty is j of DiscriminativePenalty: the penalty of an image that shows
// no class at all. The paper calls it a positive constant and gives no number. A
// competing penalty far above it is not pushed up any further, and the right one
// is pulled down until it is well below; the codes of two digits are 40 to 200
// apart.
const RubbishPenalty = 1

// DiscriminativePenalty computes, for each example n of penalties y [N][classes]
// with the label l, the maximum a posteriori criterion (equation 9), with
// S = exp(−RubbishPenalty) + Σ exp(−y[j]) over all classes, the right one among
// them:
//
//	losses[n] = y[l] + log(S)
//	gy[n][j]  = (1 if j = l, else 0) − exp(−y[j])/S
//
// in float64, less the least penalty in the exponents, over j in order; gy is then
// rounded to float32.
func DiscriminativePenalty(p *Pool, classes int, y []float32, labels []int32, losses []float64, gy []float32) Hits {
	return p.losses("DiscriminativePenalty", lossJob{f: discriminativePenalty, least: true}, classes, y, labels, losses, gy)
}

func discriminativePenalty(y []float32, label int, exps []float64, gy []float32) float64 {
	least := float32(RubbishPenalty)
	for _, v := range y {
		if v < least {
			least = v
		}
	}
	low, at := float64(least), float64(y[label])
	sum := fmath.Exp(low - RubbishPenalty)
	for j, v := range y {
		e := fmath.Exp(low - float64(v))
		exps[j] = e
		sum += e
	}
	if gy != nil {
		for j, e := range exps[:len(gy)] {
			gy[j] = float32(-(e / sum))
		}
		gy[label] = float32(1 - exps[label]/sum)
	}
	return (at - low) + fmath.Log(sum)
}
