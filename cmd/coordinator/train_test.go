package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"convoy/cmd/internal/cli"
	"convoy/digest"
)

// stderrFunc is a writer that shows every line to a function.
type stderrFunc struct {
	mu  sync.Mutex
	all bytes.Buffer
	see func(line string)
}

func (w *stderrFunc) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Write(b)
	if w.see != nil {
		w.see(string(b))
	}
	return len(b), nil
}

// small are flags for a run of 2 epochs of 5 steps on a small data set.
func small(t *testing.T) []string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := writeIDX(dir, 70, 30); err != nil {
		t.Fatal(err)
	}
	return []string{"train", "--data", "mnist", "--data-dir", dir, "--batch", "16", "--epochs", "2", "--threads", "1", "-o", "json"}
}

// trained runs `train` and returns the JSON object that stdout holds.
func trained(t *testing.T, args ...string) (result, string) {
	t.Helper()
	var stdout bytes.Buffer
	var stderr stderrFunc
	if err := run(t.Context(), args, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, stderr.all.String())
	}
	d := json.NewDecoder(&stdout)
	d.DisallowUnknownFields()
	var res result
	if err := d.Decode(&res); err != nil {
		t.Fatal(err)
	}
	if d.More() {
		t.Error("stdout holds more than one JSON value")
	}
	return res, stderr.all.String()
}

func TestTrain(t *testing.T) {
	flags := small(t)
	one, shown := trained(t, append(flags, "--out", filepath.Join(t.TempDir(), "one"))...)
	two, _ := trained(t, append(flags, "--out", filepath.Join(t.TempDir(), "two"), "--workers", "2")...)
	other, _ := trained(t, append(flags, "--out", filepath.Join(t.TempDir(), "other"), "--seed", "2")...)

	if !regexp.MustCompile(`(?m)^epoch \d/2  step \d+/12  loss \d`).MatchString(shown) {
		t.Errorf("no line with a loss:\n%s", shown)
	}
	if one.Model != "lenet-relu" || one.Data != "mnist" || one.Epochs != 2 || one.Steps != 10 || one.Workers != 1 {
		t.Errorf("result %+v", one)
	}
	if one.TestAccuracy < 0 || one.TestAccuracy > 1 || one.ImagesPerSecond <= 0 || one.TrainLoss <= 0 {
		t.Errorf("accuracy %v, images/s %v, loss %v", one.TestAccuracy, one.ImagesPerSecond, one.TrainLoss)
	}
	if n := len(one.History); n != 2 || one.History[1].Epoch != 2 || one.History[1].LearningRate <= 0 || one.History[1].TestAccuracy != one.TestAccuracy ||
		one.History[1].TestLoss != one.TestLoss || one.TestTop5 == nil || *one.History[1].TestTop5 != *one.TestTop5 || *one.TestTop5 < one.TestAccuracy {
		t.Errorf("history %+v of %+v", one.History, one)
	}
	if _, err := digest.Parse(one.Digest); err != nil {
		t.Error(err)
	}
	partials := uint64(0)
	for _, n := range one.WorkersUsed {
		partials += n
	}
	if partials < 10 {
		t.Errorf("workers_used %v: want a partial or more for each of 10 steps", one.WorkersUsed)
	}
	if two.Digest != one.Digest || two.RecipeHash != one.RecipeHash {
		t.Errorf("two workers: digest %s, one: %s", two.Digest, one.Digest)
	}
	if !bytes.Equal(contentOf(t, one.ModelFile), contentOf(t, two.ModelFile)) {
		t.Error("one and two workers give different model files")
	}
	if other.Digest == one.Digest {
		t.Error("another seed gives the same digest")
	}
}

func TestTrainGoesOn(t *testing.T) {
	flags := append(small(t), "--epochs", "4") // the last of a flag counts
	whole, _ := trained(t, append(flags, "--out", filepath.Join(t.TempDir(), "whole"))...)

	dir := filepath.Join(t.TempDir(), "broken")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	interrupt := &stderrFunc{see: func(line string) {
		if strings.Contains(line, "loss") {
			cancel()
		}
	}}
	var stdout bytes.Buffer
	err := run(ctx, append(flags, "--out", dir), &stdout, interrupt)
	if err == nil || !strings.Contains(err.Error(), "--resume "+dir) {
		t.Fatalf("an interrupt ends with %v, want how to go on", err)
	}
	if code := cli.Exit("coordinator", interrupt, err); code != 130 || stdout.Len() > 0 {
		t.Errorf("exit code %d, stdout %q, want 130 and nothing", code, stdout.String())
	}
	if err := run(t.Context(), []string{"train", "--resume", dir, "--lr", "0.5"}, &stdout, interrupt); err == nil || !strings.Contains(err.Error(), "optimizer.lr 0.5 contradicts the run in "+dir) {
		t.Errorf("another learning rate: %v", err)
	}
	if err := run(t.Context(), append(flags, "--out", dir), &stdout, interrupt); err == nil || !strings.Contains(err.Error(), "holds a run already") {
		t.Errorf("a new run in the folder of another: %v", err)
	}
	rest, _ := trained(t, "train", "--resume", dir, "--batch", "16", "-o", "json")
	if rest.Digest != whole.Digest {
		t.Errorf("digest %s after an interrupt, %s without", rest.Digest, whole.Digest)
	}
	again, shown := trained(t, "train", "--resume", dir, "-o", "json")
	if again.Digest != whole.Digest || !strings.Contains(shown, "has finished already") {
		t.Errorf("a finished run resumed: %s, %q", again.Digest, shown)
	}
}

func contentOf(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
