package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"convoy/api"
	"convoy/client"
	"convoy/job"
	"convoy/ledger"
)

func historyCommand(r *remote) *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:   "history JOB",
		Short: "Print what came of each epoch",
		Long: `Prints one line for each epoch that a job has finished: its learning rate, mean
loss and accuracy over its training steps, each taken before the step's update,
and loss, top-1 and top-5 accuracy on the test examples behind it. Top-5 is left
out where there are no more than five classes. Seconds are between the records of
evaluations.`,
		Example: "  coordinator job history lenet-relu-k3v9qa\n  coordinator job history lenet-relu-k3v9qa -o json",
		Args:    one("the id that submit printed (see `coordinator job list`)"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.with(func(cl *client.Client) error {
				s, err := cl.Status(c.Context(), args[0])
				if err != nil {
					return err
				}
				history, err := historyOf(c.Context(), cl, s)
				if err != nil {
					return err
				}
				if o == jsonOutput {
					return writeJSON(c.OutOrStdout(), history)
				}
				return printHistory(c.OutOrStdout(), history)
			})
		},
	}
	o.flag(c)
	return c
}

// epochJSON is an epoch as -o json prints it.
type epochJSON struct {
	Epoch         int      `json:"epoch"` // 1-based
	LearningRate  float32  `json:"lr"`    // of the last training step
	TrainLoss     float64  `json:"train_loss"`
	TrainAccuracy float64  `json:"train_accuracy"` // 0 to 1
	TestLoss      float64  `json:"test_loss"`
	TestAccuracy  float64  `json:"test_accuracy"` // 0 to 1
	TestTop5      *float64 `json:"test_top5"`     // 0 to 1, where there are more than 5 classes
	Seconds       float64  `json:"seconds"`
}

// historyOf reads the job's ledger and adds it up by epochs.
func historyOf(ctx context.Context, cl *client.Client, s *api.JobStatus) ([]epochJSON, error) {
	recipe, err := job.ParseRecipe([]byte(s.GetRecipe()))
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", s.GetJob(), err)
	}
	epochs, err := ledger.History(recipe, s.GetStartedUnixNanos(), cl.Rows(ctx, s.GetJob(), 0))
	list := make([]epochJSON, len(epochs))
	for i, e := range epochs {
		list[i] = epochJSON{
			Epoch: e.Epoch, LearningRate: e.LearningRate, TrainLoss: e.TrainLoss, TrainAccuracy: e.TrainAccuracy,
			TestLoss: e.TestLoss, TestAccuracy: e.TestAccuracy, Seconds: e.Took.Round(time.Millisecond).Seconds(),
		}
		if recipe.Data.Classes > 5 {
			list[i].TestTop5 = &epochs[i].TestTop5
		}
	}
	return list, err
}

func printHistory(w io.Writer, history []epochJSON) error {
	heading := []string{"EPOCH", "LR", "TRAIN LOSS", "TRAIN ACCURACY", "TEST LOSS", "TOP-1", "TOP-5", "SECONDS"}
	rows := [][]string{heading}
	for _, e := range history {
		five := ""
		if e.TestTop5 != nil {
			five = percent(*e.TestTop5)
		}
		rows = append(rows, []string{
			fmt.Sprint(e.Epoch), fmt.Sprintf("%.4g", e.LearningRate),
			fmt.Sprintf("%.4f", e.TrainLoss), percent(e.TrainAccuracy),
			fmt.Sprintf("%.4f", e.TestLoss), percent(e.TestAccuracy), five, fmt.Sprintf("%.1f", e.Seconds),
		})
	}
	return table(w, rows)
}
