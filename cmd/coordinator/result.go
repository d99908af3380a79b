package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"convoy/api"
	"convoy/cmd/internal/cli"
)

// result is what `train` ends with: the JSON object of -o json.
type result struct {
	Job             string            `json:"job"`
	Model           string            `json:"model"`
	Data            string            `json:"data"`
	Recipe          json.RawMessage   `json:"recipe"`
	RecipeHash      string            `json:"recipe_hash"`
	Workers         int               `json:"workers"`
	WorkersUsed     map[string]uint64 `json:"workers_used"` // accepted partials by worker
	Epochs          uint32            `json:"epochs"`
	Steps           uint64            `json:"steps"` // of training
	ImagesPerSecond float64           `json:"images_per_second"`
	TrainLoss       float64           `json:"train_loss"`    // of the last step
	TestAccuracy    float64           `json:"test_accuracy"` // 0 to 1
	TestLoss        float64           `json:"test_loss"`
	TestTop5        *float64          `json:"test_top5"` // 0 to 1, where there are more than 5 classes
	Digest          string            `json:"digest"`    // of the last state
	ModelFile       string            `json:"model_file"`
	History         []epochJSON       `json:"history"`
}

// resultOf is the result of a job that has finished.
func resultOf(r *trainRun, s *api.JobStatus, p *pace, history []epochJSON) result {
	speed := p.imagesPerSecond(r.file.Batch)
	if wall := float64(s.GetEndedUnixNanos()-s.GetStartedUnixNanos()) / 1e9; speed == 0 && wall > 0 {
		speed = float64(s.GetTrainingSteps()) * float64(r.file.Batch) / wall
	}
	res := result{
		Job: s.GetJob(), Model: r.file.Model, Data: r.file.Data.Name,
		Recipe: json.RawMessage(s.GetRecipe()), RecipeHash: s.GetRecipeHash(),
		Workers: r.workers, WorkersUsed: used(s),
		Epochs: s.GetEpochs(), Steps: s.GetTrainingSteps(), ImagesPerSecond: speed,
		TrainLoss: s.GetTrainLoss(), TestAccuracy: s.GetTestAccuracy(), TestLoss: s.GetTestLoss(), Digest: s.GetDigest(),
		ModelFile: filepath.Join(r.dir, modelFileName), History: history,
	}
	if s.GetHasTestTop5() {
		res.TestTop5 = &s.TestTop5
	}
	return res
}

// printFinished prints the result of a run that has finished already, and
// reports whether it has.
func printFinished(c *cobra.Command, r *trainRun) (finished bool, err error) {
	path := filepath.Join(r.dir, resultFileName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var res result
	if err := json.Unmarshal(b, &res); err != nil {
		return false, cli.Usagef("%s: %w: remove the file and resume again, which writes it anew", path, err)
	}
	res.ModelFile = filepath.Join(r.dir, modelFileName) // the folder may have moved
	if _, err := fmt.Fprintf(c.ErrOrStderr(), "the run in %s has finished already\n", r.dir); err != nil {
		return true, err
	}
	return true, printResult(c.OutOrStdout(), r, res)
}

func printResult(w io.Writer, r *trainRun, res result) error {
	if r.output == jsonOutput {
		return writeJSON(w, res)
	}
	if err := printHistory(w, res.History); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	err := table(w, [][]string{
		{"test accuracy", fmt.Sprintf("%.2f %%", 100*res.TestAccuracy)},
		{"train loss", fmt.Sprintf("%.4f", res.TrainLoss)},
		{"images/s", rate(res.ImagesPerSecond)},
		{"digest", res.Digest},
		{"model", res.ModelFile},
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w, "\nWhat next?"); err != nil {
		return err
	}
	job := "--job " + filepath.Join(r.dir, jobFileName)
	return table(w, [][]string{
		{"  " + program() + " train " + job + " --workers 2", "# two workers, the same digest"},
		{"  " + program() + " train " + job + " --seed 2", "# another seed, another digest"},
		{"  " + program() + " train --help", "# other models, your own data"},
	})
}

// writeFile writes a small file whole or not at all.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
