package inspect

import (
	"context"
	"fmt"

	"convoy/data"
	"convoy/kernels"
	"convoy/nn"
)

// Evaluation is how a network does on the examples of a split.
type Evaluation struct {
	Examples  int
	LossSum   float64 // with the bits of the ledger's row
	Correct   int     // the greatest score, the first of equals, is the label's
	Top5      int     // fewer than five scores are greater than the label's
	Confusion [][]int // [class][class predicted]
}

// Loss is the mean over the examples.
func (e Evaluation) Loss() float64 { return e.LossSum / float64(e.Examples) }

// So many examples are prepared at once, or fewer that take so much memory.
const (
	evaluationBlock = 512
	evaluationBytes = 256 << 20
)

// topN is how many of the greatest scores a label may be among for Top5.
const topN = 5

// Evaluate computes every example of a split of set, which the network accepts,
// as the evaluation after an epoch does: the same loss and counts to the bit,
// whatever the number of goroutines.
func (t *Trained) Evaluate(ctx context.Context, pool *kernels.Pool, m data.Manifest, split data.Split) (Evaluation, error) {
	if err := t.Accepts(m); err != nil {
		return Evaluation{}, err
	}
	inputs, err := t.preparation()
	if err != nil {
		return Evaluation{}, err
	}
	n, size, classes := split.Len(), t.Net.Input().Len(), t.Net.Classes()
	e := Evaluation{Examples: n, Confusion: make([][]int, classes)}
	for i := range e.Confusion {
		e.Confusion[i] = make([]int, classes)
	}
	losses := make([]float64, n)
	block := min(n, max(1, min(evaluationBlock, evaluationBytes/(4*size))))
	labels, images, scores := make([]int32, block), make([]float32, block*size), make([]float32, block*classes)
	pass := t.Net.NewPass(pool)
	for low := 0; low < n; low += block {
		if err := ctx.Err(); err != nil {
			return Evaluation{}, fmt.Errorf("evaluate: %w", err)
		}
		count := min(block, n-low)
		prepare(pool, inputs, split, low, images[:count*size], labels[:count])
		pass.Examine(t.Params, images[:count*size], labels[:count], losses[low:low+count], scores[:count*classes])
		for i, label := range labels[:count] {
			e.count(scores[i*classes:(i+1)*classes], int(label))
		}
	}
	e.LossSum = nn.SumLosses(losses, cuts(n, t.Recipe.MicroBatches))
	return e, nil
}

// cuts are the boundaries of an evaluation's micro-batches (job.Sequence).
func cuts(n, microBatches int) []int {
	list := make([]int, microBatches+1)
	for m := range list {
		list[m] = m * n / microBatches
	}
	return list
}

// count takes one example's scores into account.
func (e *Evaluation) count(scores []float32, label int) {
	greatest, greater := 0, 0
	for i, v := range scores {
		if v > scores[greatest] {
			greatest = i
		}
		if v > scores[label] {
			greater++
		}
	}
	e.Confusion[label][greatest]++
	if greatest == label {
		e.Correct++
	}
	if greater < topN {
		e.Top5++
	}
}

// ClassScore is how one class fares.
type ClassScore struct {
	Examples  int // of the class
	Predicted int // examples taken for the class
	Correct   int
}

// Precision is which part of the examples taken for the class are of it; false
// where there are none.
func (s ClassScore) Precision() (float64, bool) { return part(s.Correct, s.Predicted) }

// Recall is which part of the class's examples are taken for it; false where
// there are none.
func (s ClassScore) Recall() (float64, bool) { return part(s.Correct, s.Examples) }

func part(n, of int) (float64, bool) {
	if of == 0 {
		return 0, false
	}
	return float64(n) / float64(of), true
}

// Scores are those of all classes.
func (e Evaluation) Scores() []ClassScore {
	scores := make([]ClassScore, len(e.Confusion))
	for i, row := range e.Confusion {
		for j, n := range row {
			scores[i].Examples += n
			scores[j].Predicted += n
		}
		scores[i].Correct = row[i]
	}
	return scores
}
