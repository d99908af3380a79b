package inspect

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"convoy/checkpoint"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
	"convoy/kernels"
	"convoy/models"
	"convoy/nn"
)

// write writes state 0 of a job as a checkpoint, and returns its path.
func write(t *testing.T, model string, m data.Manifest, overrides ...string) string {
	t.Helper()
	f := job.Default()
	f.Model = model
	for _, o := range overrides {
		if err := f.Set(o); err != nil {
			t.Fatal(err)
		}
	}
	r := f.Recipe(m.ForRecipe())
	s, err := models.Initial(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if _, err := checkpoint.Write(path, s, checkpoint.Meta{Recipe: r, Chain: digest.Of(nil), Digest: s.Digest()}); err != nil {
		t.Fatal(err)
	}
	return path
}

// colours is a split of n images of 3×32×32 in ten classes, made up.
type colours int

func (c colours) Len() int { return int(c) }

func (c colours) Example(i int, pixels []byte) int {
	for k := range pixels {
		pixels[k] = byte(7*i + k*(i%10+1))
	}
	return i % 10
}

// colourful is a set of them whose classes have names.
func colourful(t *testing.T) *data.Set {
	t.Helper()
	names := make([]string, 10)
	for i := range names {
		names[i] = fmt.Sprintf("colour %c", 'a'+i)
	}
	set, err := data.Import(data.Manifest{Name: "colours", Classes: 10, ClassNames: names, Channels: 3, Height: 32, Width: 32}, colours(40), colours(20))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func mustOpen(t *testing.T, path string) *Trained {
	t.Helper()
	tr, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func pool(t *testing.T, threads int) *kernels.Pool {
	p := kernels.NewPool(threads)
	t.Cleanup(p.Close)
	return p
}

// batchOf is the first n test examples as a worker prepares them.
func batchOf(t *testing.T, tr *Trained, set *data.Set, n int) nn.Batch {
	t.Helper()
	in, err := models.InputOf(tr.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	p, err := data.NewPreparation(set.Manifest, in, tr.Recipe.Augment, tr.Recipe.Seed)
	if err != nil {
		t.Fatal(err)
	}
	indices := make([]int, n)
	for i := range indices {
		indices[i] = i
	}
	b := nn.Batch{Images: make([]float32, n*p.Len()), Labels: make([]int32, n), Cuts: cuts(n, tr.Recipe.MicroBatches)}
	p.Evaluate(set.Test, indices, b.Images, b.Labels)
	return b
}

// first is the beginning of another split.
type first struct {
	data.Split
	n int
}

func (f first) Len() int { return f.n }

// TestEvaluateIsTrainings: loss and counts have the bits of nn's evaluation of
// the same examples, whatever the number of goroutines.
func TestEvaluateIsTrainings(t *testing.T) {
	set := data.Digits()
	tr := mustOpen(t, write(t, "lenet-relu", set.Manifest))
	const n = 1100 // three blocks
	b := batchOf(t, tr, set, n)
	want := tr.Net.NewPass(pool(t, 1)).Evaluate(tr.Params, b)
	for _, threads := range []int{1, 3} {
		e, err := tr.Evaluate(t.Context(), pool(t, threads), set.Manifest, first{set.Test, n})
		if err != nil {
			t.Fatal(err)
		}
		if e.LossSum != want.Loss || e.Correct != want.Correct || e.Examples != n || e.Loss() != want.Loss/n {
			t.Errorf("%d goroutines: loss %v, %d correct of %d; training has %+v", threads, e.LossSum, e.Correct, e.Examples, want)
		}
		if e.Top5 != want.Top5 || e.Top5 < e.Correct || e.Top5 >= n {
			t.Errorf("%d among the five greatest, training has %d", e.Top5, want.Top5)
		}
		diagonal, total := 0, 0
		for i, row := range e.Confusion {
			diagonal += row[i]
			for _, count := range row {
				total += count
			}
		}
		if diagonal != e.Correct || total != n {
			t.Errorf("a matrix of %d examples, %d on its diagonal", total, diagonal)
		}
	}
}

// TestPenalties: where outputs are penalties the least one answers.
func TestPenalties(t *testing.T) {
	set, err := data.Import(data.Manifest{Name: "grey", Classes: 10, Channels: 1, Height: 32, Width: 32}, colours(40), colours(20))
	if err != nil {
		t.Fatal(err)
	}
	tr := mustOpen(t, write(t, "lenet5", set.Manifest))
	b := batchOf(t, tr, set, 20)
	want := tr.Net.NewPass(pool(t, 1)).Evaluate(tr.Params, b)
	e, err := tr.Evaluate(t.Context(), pool(t, 1), set.Manifest, set.Test)
	if err != nil || e.LossSum != want.Loss || e.Correct != want.Correct || e.Top5 != want.Top5 {
		t.Errorf("%+v, %v; training has %+v", e, err, want)
	}
	p, err := tr.Picture(save(t, "a.png", 32, 32, func(x, y int) color.Color { return color.Gray{uint8(8 * x)} }), false)
	if err != nil {
		t.Fatal(err)
	}
	penalties, err := tr.Features(pool(t, 1), p, "OUTPUT")
	if err != nil {
		t.Fatal(err)
	}
	v := penalties.Data().([]float32)
	if got, least := tr.Predict(pool(t, 1), []*Picture{p}, 1)[0][0].Class, slices.Index(v, slices.Min(v)); got != least {
		t.Errorf("class %d is predicted, the least penalty of %v is that of %d", got, v, least)
	}
}

func TestCount(t *testing.T) {
	e := Evaluation{Confusion: [][]int{make([]int, 7), make([]int, 7), make([]int, 7), make([]int, 7), make([]int, 7), make([]int, 7), make([]int, 7)}}
	for _, c := range []struct {
		scores []float32
		label  int
	}{
		{[]float32{1, 3, 3, 0, 0, 0, 0}, 1}, // the first of equals answers
		{[]float32{1, 3, 3, 0, 0, 0, 0}, 2},
		{[]float32{1, 3, 3, 2, 5, 0, 0}, 0}, // four are greater
		{[]float32{1, 3, 3, 2, 5, 2, 0}, 0}, // five are
	} {
		e.count(c.scores, c.label)
	}
	if e.Correct != 1 || e.Top5 != 3 || e.Confusion[1][1] != 1 || e.Confusion[2][1] != 1 || e.Confusion[0][4] != 2 {
		t.Errorf("%+v", e)
	}
	scores := e.Scores()
	if s := scores[1]; s != (ClassScore{Examples: 1, Predicted: 2, Correct: 1}) {
		t.Errorf("class 1 has %+v", s)
	}
	precision, ok := scores[1].Precision()
	recall, ok2 := scores[1].Recall()
	if precision != 0.5 || recall != 1 || !ok || !ok2 {
		t.Errorf("precision %v, recall %v", precision, recall)
	}
	if _, ok := scores[6].Recall(); ok {
		t.Error("a class without examples has a recall")
	}
}

func TestAccepts(t *testing.T) {
	tr := mustOpen(t, write(t, "lenet-relu", data.Digits().Manifest))
	_, err := tr.Evaluate(t.Context(), pool(t, 1), colourful(t).Manifest, colours(3))
	if err == nil || !strings.Contains(err.Error(), "data set colours has images of 3×32×32, the network was trained on 1×28×28") {
		t.Errorf("%v", err)
	}
	other := data.Digits().Manifest
	other.Classes = 26
	if err := tr.Accepts(other); err == nil || !strings.Contains(err.Error(), "26 classes, the network 10") {
		t.Errorf("%v", err)
	}
}

// TestSetOutsideOfItsRun: a checkpoint alone knows neither data nor names unless
// the set is built in, or the user names it.
func TestSetOutsideOfItsRun(t *testing.T) {
	set := colourful(t)
	tr := mustOpen(t, write(t, "lenet-relu", set.Manifest))
	if _, err := tr.Set(); err == nil || !strings.Contains(err.Error(), "data set colours is not in a run's folder") {
		t.Errorf("%v", err)
	}
	if names := tr.ClassNames(); names[3] != "3" {
		t.Errorf("class names %v", names)
	}
	if err := tr.Meet(set.Manifest); err != nil || tr.ClassNames()[3] != "colour d" {
		t.Errorf("class names %v, %v", tr.ClassNames(), err)
	}
	digits := mustOpen(t, write(t, "lenet-relu", data.Digits().Manifest))
	if s, err := digits.Set(); err != nil || s.Test.Len() != 10000 {
		t.Errorf("the built-in set: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	empty := t.TempDir()
	waiting := filepath.Join(t.TempDir(), "jobs", "lenet-1")
	both := t.TempDir()
	for _, dir := range []string{waiting, filepath.Join(both, "jobs", "a"), filepath.Join(both, "jobs", "b")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := filepath.Join(empty, "text")
	if err := os.WriteFile(text, []byte("no checkpoint at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"nowhere":                           "name the folder of a run",
		empty:                               "holds no run",
		filepath.Dir(filepath.Dir(waiting)): "has no checkpoint yet",
		both:                                "holds 2 jobs: name one of their folders",
		text:                                "no safetensors file",
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
