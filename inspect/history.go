package inspect

import (
	"fmt"
	"iter"

	"convoy/api"
	"convoy/picture"
)

const ledgerFile = "ledger"

// Rows returns the ledger's rows of a run's folder, of a process that still
// writes to it too.
func Rows(run string) (iter.Seq2[*api.LedgerRow, error], error) {
	r, err := OpenRecord(run)
	if err != nil {
		return nil, err
	}
	return r.Rows(), nil
}

// Curves are a run's training losses by training step and its test accuracies by
// epoch, from the rows of its ledger.
func Curves(name string, rows iter.Seq2[*api.LedgerRow, error]) (picture.Run, error) {
	run, steps := picture.Run{Name: name}, 0
	for row, err := range rows {
		if err != nil {
			return run, err
		}
		n := float64(row.GetExamples())
		switch {
		case n == 0:
			return run, fmt.Errorf("the ledger's row of step %d has no examples: see `coordinator job ledger`", row.GetStep())
		case row.GetEvaluation():
			run.Accuracy = append(run.Accuracy, picture.Point{X: float64(row.GetEpoch()), Y: float64(row.GetCorrect()) / n})
		default:
			steps++
			run.Loss = append(run.Loss, picture.Point{X: float64(steps), Y: row.GetLossSum() / n})
		}
	}
	if steps == 0 {
		return run, fmt.Errorf("%s has no training steps yet: wait until its first ones are committed", name)
	}
	return run, nil
}
