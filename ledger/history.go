package ledger

import (
	"fmt"
	"iter"
	"time"

	"convoy/api"
	"convoy/job"
)

// Epoch is what came of one epoch of a job: of its training steps, at the
// parameters that each of them began with, and of the evaluation behind them.
type Epoch struct {
	Epoch         int     // from 1
	LearningRate  float32 // of its last training step
	TrainLoss     float64 // mean over the training examples
	TrainAccuracy float64 // 0 to 1
	TestLoss      float64 // mean over the test examples
	TestAccuracy  float64 // 0 to 1
	TestTop5      float64 // 0 to 1
	// Took is the time from the record of the evaluation before it, or from
	// the job's start, to that of its own; records follow up to a second behind,
	// and time in which the job stood still counts too.
	Took time.Duration
}

// History adds a job's rows, from step 0 on, up by epochs. An epoch without its
// evaluation is left out. started is when the job started, in Unix nanoseconds.
func History(r job.Recipe, started int64, rows iter.Seq2[*api.LedgerRow, error]) ([]Epoch, error) {
	var history []Epoch
	var train totals
	before := started
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		if int64(row.GetStep()) >= int64(r.Sequence().Len()) {
			return nil, fmt.Errorf("the ledger has step %d of a job of %d steps: it is of another recipe", row.GetStep(), r.Sequence().Len())
		}
		if !row.GetEvaluation() {
			train.add(row)
			continue
		}
		var test totals
		test.add(row)
		history = append(history, Epoch{
			Epoch: int(row.GetEpoch()), LearningRate: r.LearningRate(int(row.GetStep())),
			TrainLoss: train.loss(), TrainAccuracy: train.share(train.correct),
			TestLoss: test.loss(), TestAccuracy: test.share(test.correct), TestTop5: test.share(test.top5),
			Took: time.Duration(row.GetUnixNanos() - before),
		})
		train, before = totals{}, row.GetUnixNanos()
	}
	return history, nil
}

// totals adds rows up.
type totals struct {
	lossSum                 float64
	correct, top5, examples uint64
}

func (t *totals) add(r *api.LedgerRow) {
	t.lossSum += r.GetLossSum()
	t.correct += uint64(r.GetCorrect())
	t.top5 += uint64(r.GetTop5())
	t.examples += uint64(r.GetExamples())
}

func (t *totals) loss() float64 { return t.lossSum / float64(max(1, t.examples)) }

func (t *totals) share(n uint64) float64 { return float64(n) / float64(max(1, t.examples)) }
