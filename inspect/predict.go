package inspect

import (
	"slices"

	"convoy/fmath"
	"convoy/kernels"
)

// Prediction is a class with its probability.
type Prediction struct {
	Class       int
	Name        string
	Probability float64
}

// Predict returns the at most n most probable classes of each picture, the most
// probable first and of equals the first class: the softmax of the scores (see nn.Pass.Examine).
func (t *Trained) Predict(pool *kernels.Pool, pictures []*Picture, n int) [][]Prediction {
	size, classes := t.Net.Input().Len(), t.Net.Classes()
	images, scores := make([]float32, 0, len(pictures)*size), make([]float32, len(pictures)*classes)
	for _, p := range pictures {
		images = append(images, p.values()...)
	}
	t.Net.NewPass(pool).Examine(t.Params, images, nil, nil, scores)
	names := t.ClassNames()
	all := make([][]Prediction, len(pictures))
	for i := range all {
		probabilities := softmax(scores[i*classes : (i+1)*classes])
		for _, c := range greatest(probabilities, n) {
			all[i] = append(all[i], Prediction{c, names[c], probabilities[c]})
		}
	}
	return all
}

// softmax is exp(x[i]) ÷ Σ exp(x[j]), computed with the greatest subtracted.
func softmax(scores []float32) []float64 {
	top := slices.Max(scores)
	p := make([]float64, len(scores))
	sum := 0.0
	for i, x := range scores {
		p[i] = fmath.Exp(float64(x) - float64(top))
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// greatest are the indices of the n greatest values, in descending order.
func greatest(values []float64, n int) []int {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case values[a] > values[b]:
			return -1
		case values[a] < values[b]:
			return 1
		}
		return 0
	})
	return order[:min(n, len(order))]
}
