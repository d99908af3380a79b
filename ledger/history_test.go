package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"convoy/api"
	"convoy/job"
)

// each yields rows and then, if there is one, an error.
func each(rows []*api.LedgerRow, end error) func(func(*api.LedgerRow, error) bool) {
	return func(yield func(*api.LedgerRow, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
		if end != nil {
			yield(nil, end)
		}
	}
}

func TestHistory(t *testing.T) {
	r := job.Recipe{
		Data: job.Data{Train: 5, Test: 10}, Epochs: 2, Batch: 4, MicroBatches: 1,
		Optimizer: job.Optimizer{LR: 0.5}, Schedule: job.Schedule{Type: job.ScheduleStep, Every: 1, Gamma: 0.5},
	}
	rows := []*api.LedgerRow{
		{Step: 0, Epoch: 1, LossSum: 8, Correct: 1, Top5: 3, Examples: 4, UnixNanos: 2e9},
		{Step: 1, Epoch: 1, LossSum: 1, Correct: 1, Top5: 1, Examples: 1, UnixNanos: 3e9},
		{Step: 2, Epoch: 1, Evaluation: true, LossSum: 5, Correct: 3, Top5: 9, Examples: 10, UnixNanos: 4e9},
		{Step: 3, Epoch: 2, LossSum: 4, Correct: 4, Top5: 4, Examples: 4, UnixNanos: 5e9},
		{Step: 4, Epoch: 2, LossSum: 1, Examples: 1, UnixNanos: 6e9},
		{Step: 5, Epoch: 2, Evaluation: true, LossSum: 1, Correct: 7, Top5: 10, Examples: 10, UnixNanos: 9e9},
	}
	want := []Epoch{
		{1, 0.5, 1.8, 0.4, 0.5, 0.3, 0.9, 3 * time.Second},
		{2, 0.25, 1, 0.8, 0.1, 0.7, 1, 5 * time.Second},
	}
	for n, epochs := range map[int]int{0: 0, 2: 0, 3: 1, 5: 1, 6: 2} {
		got, err := History(r, 1e9, each(rows[:n], nil))
		if err != nil || !slices.Equal(got, want[:epochs]) {
			t.Errorf("%d rows: %+v, %v, want %+v", n, got, err, want[:epochs])
		}
	}
	if _, err := History(r, 0, each(rows[:4], errors.New("broken"))); err == nil || err.Error() != "broken" {
		t.Errorf("a ledger that breaks off gives %v", err)
	}
	if _, err := History(r, 0, each([]*api.LedgerRow{{Step: 6}}, nil)); err == nil || !strings.Contains(err.Error(), "another recipe") {
		t.Errorf("a step beyond the last gives %v", err)
	}
}
