package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"convoy/ledger"
)

// trained is what is used of `coordinator train -o json`; raw is all of it.
type trained struct {
	RecipeHash   string  `json:"recipe_hash"`
	Digest       string  `json:"digest"`
	TestAccuracy float64 `json:"test_accuracy"`
	History      []struct {
		TestAccuracy float64 `json:"test_accuracy"`
	} `json:"history"`

	raw json.RawMessage
}

// torchResult is what train_job.py prints.
type torchResult struct {
	Torch  string       `json:"torch"`
	Pillow string       `json:"pillow"`
	Pixels pixels       `json:"pixels"`
	Losses []float64    `json:"losses"` // of every training step, before its update
	Epochs []torchEpoch `json:"epochs"`
}

// pixels says how what Pillow reads of the test examples differs from what
// Convoy does.
type pixels struct {
	Values    int `json:"values"`
	Different int `json:"different"`
	Greatest  int `json:"greatest"` // difference, of 0 to 255
}

type torchEpoch struct {
	TrainLoss    float64 `json:"train_loss"`
	TestLoss     float64 `json:"test_loss"`
	TestAccuracy float64 `json:"test_accuracy"`
	Seconds      float64 `json:"seconds"`
}

// comparison is the raw file of one job.
type comparison struct {
	Job        string `json:"job"`
	RecipeHash string `json:"recipe_hash"`
	Digest     string `json:"digest"` // of Convoy's last state
	Torch      string `json:"torch"`
	Pillow     string `json:"pillow"`
	Pixels     pixels `json:"pixels"`

	Steps          int       `json:"steps"` // compared
	Greatest       float64   `json:"greatest_difference"`
	ConvoyLosses   []float64 `json:"convoy_losses"` // of those steps
	TorchLosses    []float64 `json:"torch_losses"`
	ConvoyAccuracy []float64 `json:"convoy_accuracy"` // test, by epoch
	TorchAccuracy  []float64 `json:"torch_accuracy"`

	TorchEpochs []torchEpoch `json:"torch_epochs"`
}

// fill holds both sides against each other.
func (c *comparison) fill(ours trained, losses []float64, theirs torchResult) error {
	if len(losses) != len(theirs.Losses) || len(ours.History) != len(theirs.Epochs) || len(losses) == 0 || len(theirs.Epochs) == 0 {
		return fmt.Errorf("%d steps in %d epochs by Convoy, %d in %d by PyTorch",
			len(losses), len(ours.History), len(theirs.Losses), len(theirs.Epochs))
	}
	c.Torch, c.Pillow, c.Pixels, c.TorchEpochs = theirs.Torch, theirs.Pillow, theirs.Pixels, theirs.Epochs
	c.Steps = min(comparedSteps, len(losses))
	c.ConvoyLosses, c.TorchLosses = losses[:c.Steps], theirs.Losses[:c.Steps]
	for i, l := range c.ConvoyLosses {
		c.Greatest = max(c.Greatest, math.Abs(l-c.TorchLosses[i])) // NaN stays
	}
	for i, e := range theirs.Epochs {
		c.ConvoyAccuracy = append(c.ConvoyAccuracy, ours.History[i].TestAccuracy)
		c.TorchAccuracy = append(c.TorchAccuracy, e.TestAccuracy)
	}
	return nil
}

// accuracies are both sides' at the end.
func (c *comparison) accuracies() (ours, theirs float64) {
	last := len(c.ConvoyAccuracy) - 1
	return c.ConvoyAccuracy[last], c.TorchAccuracy[last]
}

// check reports what was not reached.
func (c *comparison) check() error {
	var missed error
	if !(c.Greatest <= lossBound) {
		missed = fmt.Errorf("the losses of the first %d steps differ by up to %.2g, more than %g", c.Steps, c.Greatest, lossBound)
	}
	if ours, theirs := c.accuracies(); !(math.Abs(ours-theirs) <= accuracyBound) {
		missed = errors.Join(missed, fmt.Errorf("the accuracies %.4f and %.4f differ by more than %g", ours, theirs, accuracyBound))
	}
	return missed
}

func (c comparison) String() string {
	ours, theirs := c.accuracies()
	return fmt.Sprintf("%s: greatest difference of the first %d losses %.2g; test accuracy after %d epochs %.2f %% by Convoy, %.2f %% by PyTorch",
		c.Job, c.Steps, c.Greatest, len(c.ConvoyAccuracy), 100*ours, 100*theirs)
}

// lossesOf reads the mean loss of every training step from the ledger of a run's
// folder.
func lossesOf(dir string) ([]float64, error) {
	found, err := filepath.Glob(filepath.Join(dir, "jobs", "*", "ledger"))
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%s holds the ledgers of %d jobs, want one: remove the folder", dir, len(found))
	}
	var losses []float64
	for row, err := range ledger.Read(found[0]) {
		if err != nil {
			return nil, err
		}
		if !row.GetEvaluation() {
			losses = append(losses, row.GetLossSum()/float64(row.GetExamples()))
		}
	}
	return losses, nil
}
