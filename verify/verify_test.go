package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/checkpoint"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
	"convoy/kernels"
	"convoy/ledger"
	"convoy/models"
	"convoy/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// figures is so many images of 1×8×8 in ten classes, made up.
type figures int

func (f figures) Len() int { return int(f) }

func (f figures) Example(i int, pixels []byte) int {
	for k := range pixels {
		pixels[k] = byte(7*i + k*(i%10+1))
	}
	return i % 10
}

// set is a data set of so many of them, 50 and 9 in the job below, in small shards.
func set(t testing.TB, train int) *data.Set {
	t.Helper()
	s, err := data.ImportInShards(data.Manifest{Name: "figures", Classes: 10, Channels: 1, Height: 8, Width: 8}, figures(train), figures(9), 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// recipe is of a job of 3 epochs of 7 steps and an evaluation, with all that the
// arithmetic of a step may have.
func recipe(t testing.TB, set *data.Set, overrides ...string) job.Recipe {
	t.Helper()
	f := job.Default()
	for _, o := range append([]string{
		"model={layers: [{type: conv, out: 4, kernel: 3}, {type: relu}, {type: flatten}, {type: dropout, rate: 0.5}, {type: linear, out: 10}]}",
		"data=figures", "epochs=3", "batch=8", "micro_batches=4",
		"optimizer={lr: 0.25, momentum: 0.5, weight_decay: 0.001, clip_norm: 1}", "augment.shift=1",
	}, overrides...) {
		if err := f.Set(o); err != nil {
			t.Fatal(err)
		}
	}
	r := f.Recipe(set.Manifest.ForRecipe())
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	return r
}

// recorded is a run with its record. Its checkpoints of steps 8 and 16 are in dir.
type recorded struct {
	recipe job.Recipe
	set    *data.Set
	rows   []*api.LedgerRow
	dir    string
}

// trained trains and records what forge makes of each step's row before it is
// applied: its chain goes on from there.
func trained(t testing.TB, s *data.Set, r job.Recipe, forge func(*api.StepRow)) recorded {
	t.Helper()
	run := recorded{recipe: r, set: s, dir: t.TempDir()}
	pool := kernels.NewPool(1)
	defer pool.Close()
	initial, err := models.Initial(r)
	if err != nil {
		t.Fatal(err)
	}
	j := state.NewJob("job", r)
	m, err := newMachine(j, begin{initial, 0}, digest.Chain0(j.Hash, initial.Digest()), s, nil, pool)
	if err != nil {
		t.Fatal(err)
	}
	defer m.computer.Stop()
	var head []byte
	entry := &api.StepCommit{}
	for step := range j.Sequence.Len() {
		row := m.compute()
		forge(row)
		next := digest.Next(m.keeper.Chain(), digest.Gradient(row.GradientDigest))
		row.ChainNext = next[:]
		if len(entry.Rows) == 0 {
			entry = &api.StepCommit{First: row.Step, ChainBefore: row.Chain, Workers: []string{"w1"}}
		}
		entry.Rows = append(entry.Rows, &api.CommittedRow{
			GradientDigest: row.GradientDigest, StateDigest: row.StateDigest, LossSum: row.LossSum,
			Correct: row.Correct, Top5: row.Top5, Examples: row.Examples, Shares: []*api.Share{{High: 4}},
		})
		if len(entry.Rows) == 5 || step+1 == j.Sequence.Len() {
			head = ledger.RecordChain(head, entry, int64(1e9*step))
			run.rows = append(run.rows, ledger.FromCommit(j.Sequence, entry, int64(1e9*step), head)...)
			entry = &api.StepCommit{}
		}
		m.apply(row)
		if at := step + 1; at == 8 || at == 16 {
			about := checkpoint.Meta{Recipe: r, Step: at, Chain: m.keeper.Chain(), Digest: m.keeper.State().Digest()}
			if _, err := checkpoint.Write(run.file(at), m.keeper.State(), about); err != nil {
				t.Fatal(err)
			}
		}
	}
	return run
}

func (r recorded) file(step int) string { return filepath.Join(r.dir, fmt.Sprint(step)) }

// asIs records what was computed.
func asIs(*api.StepRow) {}

// run is the run as Verify takes it.
func (r recorded) run() Run {
	run := Run{Recipe: r.recipe, Rows: each(r.rows), Data: func(context.Context, func(error)) (*data.Set, *data.Lazy, error) { return r.set, nil, nil }}
	for _, step := range []int{8, 16} {
		run.States = append(run.States, State{step, func(context.Context) (string, error) { return r.file(step), nil }})
	}
	return run
}

func each(rows []*api.LedgerRow) iter.Seq2[*api.LedgerRow, error] {
	return func(yield func(*api.LedgerRow, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// verified verifies with two goroutines and returns the notes, too.
func verified(t *testing.T, run Run, from, to int) (Report, []string, error) {
	t.Helper()
	pool := kernels.NewPool(2)
	defer pool.Close()
	var notes []string
	done := 0
	report, err := run.Verify(t.Context(), Options{
		From: from, To: to, Pool: pool, Note: func(text string) { notes = append(notes, text) },
		Progress: func(n, total int) {
			if done++; n != done || n > total {
				t.Errorf("%d of %d steps are done after %d", n, total, done-1)
			}
		},
	})
	return report, notes, err
}

func TestVerify(t *testing.T) {
	s := set(t, 50)
	r := trained(t, s, recipe(t, s), asIs)
	for _, c := range []struct {
		from, to int
		want     Report
		note     string
	}{
		{0, -1, Report{From: 0, To: 24, Start: 0, Verified: 24, Steps: 24}, ""},
		{16, 20, Report{From: 16, To: 20, Start: 16, Verified: 4, Steps: 24}, ""},
		{19, -1, Report{From: 19, To: 24, Start: 16, Verified: 5, Steps: 24}, "state 19 is not to be had: computing from state 16 on"},
		{9, 10, Report{From: 9, To: 10, Start: 8, Verified: 1, Steps: 24}, "state 9 is not to be had: computing from state 8 on"},
		{0, 3, Report{From: 0, To: 3, Start: 0, Verified: 3, Steps: 24}, ""},
	} {
		report, notes, err := verified(t, r.run(), c.from, c.to)
		report.Took = 0
		if err != nil || report != c.want || strings.Join(notes, "\n") != c.note {
			t.Errorf("steps %d:%d: %+v, %v, %v, want %+v", c.from, c.to, report, notes, err, c.want)
		}
	}
}

// TestForged: what was recorded otherwise than computed is found where it is,
// although all chains link.
func TestForged(t *testing.T) {
	s := set(t, 50)
	for name, c := range map[string]struct {
		step   int
		forge  func(*api.StepRow)
		fields string
	}{
		"a gradient":           {17, func(r *api.StepRow) { r.GradientDigest = bytes.Repeat([]byte{7}, 16) }, "gradient_digest chain"},
		"a loss":               {9, func(r *api.StepRow) { r.LossSum++ }, "loss_sum"},
		"a state":              {16, func(r *api.StepRow) { r.StateDigest = bytes.Repeat([]byte{7}, 32) }, "state_digest"},
		"an evaluation's":      {15, func(r *api.StepRow) { r.Correct++ }, "correct"},
		"among the five":       {23, func(r *api.StepRow) { r.Top5-- }, "top5"},
		"how many there were":  {6, func(r *api.StepRow) { r.Examples++ }, "examples"},
		"several, and a state": {5, func(r *api.StepRow) { r.StateDigest, r.Correct, r.LossSum = make([]byte, 32), 9, 1 }, "state_digest loss_sum correct"},
	} {
		run := trained(t, s, recipe(t, s), func(r *api.StepRow) {
			if int(r.Step) == c.step {
				c.forge(r)
			}
		}).run()
		run.States = nil
		report, _, err := verified(t, run, 0, -1)
		d := report.First
		if err != nil || d == nil || d.Step != c.step || report.Verified != c.step {
			t.Errorf("%s: %+v, %v, want step %d", name, report, err, c.step)
			continue
		}
		got := []string{d.Name}
		for _, f := range d.Others {
			got = append(got, f.Name)
		}
		if strings.Join(got, " ") != c.fields {
			t.Errorf("%s: %v differ, want %s", name, got, c.fields)
		}
		if d.A == d.B {
			t.Errorf("%s: the ledger has %s, and so has what was computed", name, d.A)
		}
	}
}

// TestBroken: a record that does not hold together is refused before anything is
// computed.
func TestBroken(t *testing.T) {
	s := set(t, 50)
	r := trained(t, s, recipe(t, s), asIs)
	other := r
	other.recipe = recipe(t, s, "seed=2")
	spoil := func(step int, f func(*api.LedgerRow)) recorded {
		r := r
		r.rows = append([]*api.LedgerRow{}, r.rows...)
		r.rows[step] = proto.CloneOf(r.rows[step])
		f(r.rows[step])
		return r
	}
	for name, c := range map[string]struct {
		run   recorded
		step  int
		field string
	}{
		"a gradient":     {spoil(17, func(r *api.LedgerRow) { r.GradientDigest = make([]byte, 16) }), 17, "chain"},
		"a loss":         {spoil(12, func(r *api.LedgerRow) { r.LossSum++ }), 10, "record_chain"},
		"a worker":       {spoil(2, func(r *api.LedgerRow) { r.Workers = []string{"w2"} }), 0, "record_chain"},
		"another recipe": {other, 0, "state_digest"},
	} {
		run := c.run.run()
		run.Data = nil
		report, _, err := verified(t, run, 0, -1)
		if d := report.First; err != nil || d == nil || d.Step != c.step || d.Name != c.field || d.A == d.B || report.Verified != 0 {
			t.Errorf("%s: %+v, %v, want %s of step %d", name, report, err, c.field, c.step)
		}
	}
}

// TestStates: a state that cannot be trusted is passed over, and what others
// recorded of states is compared too.
func TestStates(t *testing.T) {
	s := set(t, 50)
	r := trained(t, s, recipe(t, s), asIs)
	content, err := os.ReadFile(r.file(16))
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 1
	if err := os.WriteFile(r.file(16), content, 0o600); err != nil {
		t.Fatal(err)
	}
	report, notes, err := verified(t, r.run(), 17, 18)
	if err != nil || report.Start != 8 || report.Verified != 1 || len(notes) != 2 || !strings.Contains(notes[0], "the file is damaged") {
		t.Errorf("a damaged state: %+v, %v, %v", report, notes, err)
	}
	other := trained(t, s, recipe(t, s, "seed=2"), asIs)
	run := r.run()
	run.States = []State{{8, func(context.Context) (string, error) { return other.file(8), nil }}}
	report, notes, err = verified(t, run, 8, 9)
	if err != nil || report.Start != 0 || report.Verified != 1 || len(notes) != 2 || !strings.Contains(notes[0], "is of another run") {
		t.Errorf("another run's state: %+v, %v, %v", report, notes, err)
	}
	run.Digests = map[int]digest.Sum{24: digest.Of(nil)}
	run.States = nil
	report, _, err = verified(t, run, 0, -1)
	if d := report.First; err != nil || d == nil || d.Step != 24 || d.Name != "state_digest" || d.A != digest.Of(nil).String() {
		t.Errorf("the last state's digest: %+v, %v", report, err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	s := set(t, 50)
	r := trained(t, s, recipe(t, s), asIs)
	gone := errors.New("gone")
	for name, c := range map[string]struct {
		change   func(*Run)
		from, to int
		want     string
	}{
		"steps beyond the end": {func(*Run) {}, 20, 25, "steps 20 to 24 cannot be verified: the ledger has 24"},
		"no steps":             {func(*Run) {}, 24, -1, "steps 24 to 23 cannot be verified"},
		"no rows":              {func(r *Run) { r.Rows = each(nil) }, 0, -1, "the ledger has no steps yet"},
		"rows that break off": {func(r *Run) {
			rows := r.Rows
			r.Rows = func(yield func(*api.LedgerRow, error) bool) {
				rows(yield)
				yield(nil, gone)
			}
		}, 0, -1, "gone"},
		"no data": {func(r *Run) {
			r.Data = func(context.Context, func(error)) (*data.Set, *data.Lazy, error) { return nil, nil, gone }
		}, 0, -1, "data set figures: gone"},
		"an unknown model": {func(r *Run) { r.Recipe.Layers, r.Recipe.Model = nil, "nothing" }, 0, -1, "nothing"},
		"a shorter recipe": {func(r *Run) { r.Recipe.Epochs = 1 }, 0, -1, "chain"},
		"data that cannot be had any more": {func(r *Run) {
			r.Data = func(life context.Context, fail func(error)) (*data.Set, *data.Lazy, error) {
				lazy, err := data.Lazily(life, s.Manifest, 1, failing{fail})
				return lazy.Set(), lazy, err
			}
		}, 0, -1, "step 0: the disk is gone"},
	} {
		run := r.run()
		c.change(&run)
		report, _, err := verified(t, run, c.from, c.to)
		if name == "a shorter recipe" { // its hash begins another chain
			if err != nil || report.First == nil || report.First.Name != c.want {
				t.Errorf("%s: %+v, %v", name, report, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	pool := kernels.NewPool(1)
	defer pool.Close()
	if _, err := r.run().Verify(stopped, Options{To: -1, Pool: pool}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// failing is a source whose disk is gone.
type failing struct{ fail func(error) }

func (f failing) Get(context.Context, digest.Sum) ([]byte, error) {
	return nil, errors.New("the disk is gone")
}

func (f failing) Trouble(err error) { f.fail(err) }
