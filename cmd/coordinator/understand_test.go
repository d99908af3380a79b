package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"convoy/api"
	"convoy/data"
	"convoy/inspect"
	"convoy/picture"
)

// digit writes a digit of the built-in set as a PNG file: digit FILE.
func digit(ts *testscript.TestScript, _ bool, args []string) {
	pixels := make([]byte, 28*28)
	data.Digits().Test.Example(0, pixels)
	img := image.NewGray(image.Rect(0, 0, 28, 28))
	copy(img.Pix, pixels)
	b, err := picture.PNG(img)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// TestEvalIsTheRunsOwn: the evaluation of a run's last state says what the run's
// last row does, to the bit, and so does its epoch before.
func TestEvalIsTheRunsOwn(t *testing.T) {
	for _, flags := range [][]string{
		{"--model", "lenet-relu"}, {"--model", "lenet5"}, {"--set", "input.normalize=dataset", "--set", "augment.shift=2"},
	} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) { testEvalIsTheRunsOwn(t, flags) })
	}
}

func testEvalIsTheRunsOwn(t *testing.T, flags []string) {
	dir := filepath.Join(t.TempDir(), "run")
	one, _ := trained(t, append(append(small(t), flags...), "--out", dir)...)
	rows, err := inspect.Rows(dir)
	if err != nil {
		t.Fatal(err)
	}
	var evaluations []*api.LedgerRow
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		if row.GetEvaluation() {
			evaluations = append(evaluations, row)
		}
	}
	checkpoints, err := filepath.Glob(filepath.Join(dir, "jobs", "*", "checkpoints", "*.safetensors"))
	if err != nil || len(checkpoints) != 2 || len(evaluations) != 2 {
		t.Fatalf("%d checkpoints, %d evaluations, %v", len(checkpoints), len(evaluations), err)
	}
	for i, file := range append(checkpoints, dir) {
		row := evaluations[min(i, 1)]
		for _, threads := range []string{"1", "3"} {
			e := evaluation(t, file, "--threads", threads)
			if e.LossSum != row.GetLossSum() || e.Correct != int(row.GetCorrect()) || e.Examples != int(row.GetExamples()) {
				t.Errorf("%s has loss %v, %d correct of %d; the run recorded %v, %d of %d",
					file, e.LossSum, e.Correct, e.Examples, row.GetLossSum(), row.GetCorrect(), row.GetExamples())
			}
			if got, want := uint32(e.Top5*float64(e.Examples)+0.5), row.GetTop5(); got != want {
				t.Errorf("%s: %d among the five greatest, the run recorded %d", file, got, want)
			}
			if i > 0 && (e.Accuracy != one.TestAccuracy || e.Digest != one.Digest) {
				t.Errorf("%s: accuracy %v of %s; `train` printed %v of %s", file, e.Accuracy, e.Digest, one.TestAccuracy, one.Digest)
			}
		}
	}
	if e := evaluation(t, dir, "--split", "train"); e.Examples != 70 || e.Split != "train" {
		t.Errorf("the training examples: %+v", e)
	}
}

// evaluation runs `model eval -o json`.
func evaluation(t *testing.T, run string, flags ...string) (e evaluationJSON) {
	t.Helper()
	out := command(t, append([]string{"model", "eval", run, "-o", "json"}, flags...)...)
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		t.Fatal(err)
	}
	return e
}

// command runs a command that succeeds and returns its stdout.
func command(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), args, &stdout, &stderr); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return stdout.String()
}

// TestPrintedEvaluation pins the tables of few and of many classes.
func TestPrintedEvaluation(t *testing.T) {
	e := inspect.Evaluation{Examples: 10, LossSum: 5, Correct: 7, Top5: 10, Confusion: [][]int{{4, 0, 1}, {1, 3, 1}, {0, 0, 0}}}
	r := evaluated{
		t: &inspect.Trained{File: "model.safetensors", Step: 12}, data: data.Manifest{Name: "pets"}, split: "test",
		Evaluation: e, names: []string{"cat", "dog", "2"},
	}
	r.t.Recipe.Model = "lenet"
	var out bytes.Buffer
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	const want = `model     lenet, state 12 of model.safetensors
data      pets, 10 test examples
loss      0.5000
accuracy  70.00 %

CLASS  EXAMPLES  PRECISION  RECALL
cat    5         80.00 %    80.00 %
dog    5         100.00 %   60.00 %
2      0         0.00 %     -

rows are the classes, columns what their examples were taken for
        0   1   2
0 cat   4   ·   1
1 dog   1   3   1
2       ·   ·   ·
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
	const n = 21
	r.Evaluation, r.names = inspect.Evaluation{Examples: n, Confusion: make([][]int, n)}, make([]string, n)
	for i := range n {
		r.names[i] = string(rune('a' + i))
		r.Confusion[i] = make([]int, n)
		r.Confusion[i][i] = 20 + i
	}
	r.Confusion[3][4], r.Confusion[7][9] = 2, 5
	out.Reset()
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"the 10 of 21 classes with the least recall\n", "\nh      32        100.00 %   84.38 %\nd      25        100.00 %   92.00 %\n",
		"the classes that are confused most often\nCLASS  TAKEN FOR  EXAMPLES\nh      j          5\nd      e          2\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed\n%s\nwant in it\n%s", out.String(), want)
		}
	}
}

// TestPlotSeveralRuns: each has its row and its curve.
func TestPlotSeveralRuns(t *testing.T) {
	flags, dir := small(t), t.TempDir()
	trained(t, append(flags, "--out", filepath.Join(dir, "a"))...)
	trained(t, append(flags, "--seed", "2", "--out", filepath.Join(dir, "b"))...)
	file := filepath.Join(dir, "curves.png")
	out := command(t, "job", "plot", filepath.Join(dir, "a"), filepath.Join(dir, "b"), "-o", file)
	if !strings.Contains(out, "a    10     ") || !strings.Contains(out, "b    10     ") {
		t.Errorf("stdout %q", out)
	}
	if _, err := png.Decode(bytes.NewReader(contentOf(t, file))); err != nil {
		t.Error(err)
	}
}
