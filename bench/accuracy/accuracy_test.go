package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"convoy/checkpoint"
	"convoy/data"
	"convoy/job"
)

// small is a job that PyTorch can repeat, on the built-in digits.
const small = `model: {layers: [{type: conv, out: 2, kernel: 5, stride: 4}, {type: relu}, {type: dropout, rate: 0}, {type: flatten}, {type: linear, out: 10}]}
data: digits
input: {normalize: dataset}
epochs: 2
batch: 7000
schedule: cosine
`

func recipeOf(t *testing.T, file string, overrides ...string) job.Recipe {
	t.Helper()
	f, err := job.Parse([]byte(file), "test", overrides...)
	if err != nil {
		t.Fatal(err)
	}
	return f.Recipe(data.Digits().Manifest.ForRecipe())
}

func TestRepeatable(t *testing.T) {
	for override, want := range map[string]string{
		"seed=1":                "",
		"input.normalize=unit":  "",
		"optimizer.clip_norm=1": "",
		"model=lenet":           "list the network's layers",
		"model.layers=[{type: flatten}, {type: dropout, rate: 0.5}, {type: linear, out: 10}]": "layer 1 drops values out",
		"augment.flip=true":     "leave out augment",
		"input.resize=32":       "leave out input.resize",
		"input.pad=1":           "leave out input.resize and input.pad",
		"input.normalize=auto":  "set input.normalize",
		"loss=squared-distance": "leave out loss",
	} {
		err := repeatable(recipeOf(t, small, override))
		if got := message(err); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", override, got, want)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestExport: what PyTorch begins with is what Convoy begins with.
func TestExport(t *testing.T) {
	dir, set := filepath.Join(t.TempDir(), "export"), data.Digits()
	r := recipeOf(t, small)
	if err := export(dir, r, set); err != nil {
		t.Fatal(err)
	}
	about, err := checkpoint.About(filepath.Join(dir, initialFile))
	if err != nil || about.Step != 0 || about.Recipe.Hash() != r.Hash() {
		t.Errorf("the parameters are those of step %d, %v", about.Step, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, planFile))
	if err != nil {
		t.Fatal(err)
	}
	var p plan
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	n := set.Manifest.Train
	steps := 2 * ((n + 6999) / 7000)
	if len(p.LR) != steps || p.LR[0] != r.Optimizer.LR || p.LR[steps-1] >= p.LR[0]/10 {
		t.Errorf("%d learning rates %v, want %d along a cosine", len(p.LR), p.LR, steps)
	}
	mean, deviation := set.Manifest.Moments()
	if p.Mean[0] != mean[0] || p.Deviation[0] != deviation[0] {
		t.Errorf("mean %v, deviation %v, want %v and %v", p.Mean, p.Deviation, mean, deviation)
	}
	if unit := planOf(recipeOf(t, small, "input.normalize=unit"), set.Manifest); unit.Mean[0] != 0 || unit.Deviation[0] != 1 {
		t.Errorf("mean %v, deviation %v, want 0 and 1", unit.Mean, unit.Deviation)
	}
	pixels, err := os.ReadFile(filepath.Join(dir, testFile))
	if err != nil || len(pixels) != set.Manifest.Test*set.Manifest.ImageBytes() {
		t.Errorf("%d bytes of test examples, %v", len(pixels), err)
	}
	for epoch, order := range [][]int32{orderOf(r, set.Manifest)[:n], orderOf(r, set.Manifest)[n:]} {
		want, seen := data.NewOrder(set.Manifest, 0, r.Seed, epoch), make([]bool, n)
		for p, example := range order {
			if int(example) != want.At(p) || seen[example] {
				t.Fatalf("epoch %d, position %d: example %d, want %d", epoch, p, example, want.At(p))
			}
			seen[example] = true
		}
	}
	r.Data.Manifest = strings.Repeat("0", 64)
	if err := export(dir, r, set); err == nil {
		t.Error("other data than the recipe's was exported")
	}
}

func TestComparison(t *testing.T) {
	sides := func(loss, accuracy float64) (trained, []float64, torchResult) {
		var ours trained
		err := json.Unmarshal([]byte(`{"history": [{"test_accuracy": 0.1}, {"test_accuracy": 0.6}]}`), &ours)
		if err != nil {
			t.Fatal(err)
		}
		losses, theirs := make([]float64, 60), make([]float64, 60)
		theirs[49], theirs[50] = loss, 1 // only the first 50 are compared
		return ours, losses, torchResult{Losses: theirs, Epochs: []torchEpoch{{TestAccuracy: 0.9}, {TestAccuracy: accuracy}}}
	}
	for _, c := range []struct {
		loss, accuracy float64
		want           string
	}{
		{0.0009, 0.6099, ""},
		{-0.0009, 0.5901, ""},
		{-0.0011, 0.6, "losses of the first 50 steps differ by up to 0.0011"},
		{math.NaN(), 0.6, "losses of the first 50 steps"},
		{0, 0.6101, "accuracies 0.6000 and 0.6101 differ"},
		{0, math.NaN(), "accuracies"},
	} {
		var got comparison
		if err := got.fill(sides(c.loss, c.accuracy)); err != nil {
			t.Fatal(err)
		}
		if m := message(got.check()); (c.want == "") != (m == "") || !strings.Contains(m, c.want) {
			t.Errorf("%+v: %q", c, m)
		}
	}
	ours, losses, theirs := sides(0, 0.6)
	theirs.Losses = theirs.Losses[1:]
	if err := new(comparison).fill(ours, losses, theirs); err == nil {
		t.Error("59 steps were compared with 60")
	}
}
