package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"convoy/api"
	"convoy/cmd/internal/cli"
	"convoy/digest"
	"convoy/internal/clustertest"
	"convoy/job"
	"convoy/ledger"
	"convoy/verify"
)

// forge changes the gradient's digest of a step in a run's ledger: forge RUN STEP.
func forge(ts *testscript.TestScript, _ bool, args []string) {
	step, err := strconv.Atoi(args[1])
	ts.Check(err)
	file, err := ledgerFileOf(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(forged(file, step))
}

// ledgerFileOf is the one ledger in a run's folder.
func ledgerFileOf(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "jobs", "*", "ledger"))
	if err == nil && len(files) != 1 {
		err = fmt.Errorf("%d ledgers in %s", len(files), dir)
	}
	return strings.Join(files, " "), err
}

// forged changes the gradient's digest of a step in a ledger of one of this
// package's small runs, and everything behind it so that all chains link.
func forged(path string, step int) error {
	var rows []*api.LedgerRow
	for row, err := range ledger.Read(path) {
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	l, err := ledger.Open(path, digest.Sum{})
	if err != nil {
		return err
	}
	chain0 := l.Chain0()
	if err := errors.Join(l.Close(), os.Remove(path)); err != nil {
		return err
	}
	if l, err = ledger.Open(path, chain0); err != nil {
		return err
	}
	var head []byte
	chain := chain0
	for len(rows) > 0 {
		n := slices.IndexFunc(rows, func(r *api.LedgerRow) bool { return !bytes.Equal(r.RecordChain, rows[0].RecordChain) })
		if n < 0 {
			n = len(rows)
		}
		entry := &api.StepCommit{First: rows[0].Step, ChainBefore: bytes.Clone(chain[:])}
		for _, r := range rows[:n] {
			if int(r.Step) == step {
				r.GradientDigest = bytes.Repeat([]byte{7}, 16)
			}
			chain = digest.Next(chain, digest.Gradient(r.GradientDigest))
			row := &api.CommittedRow{
				GradientDigest: r.GradientDigest, StateDigest: r.StateDigest, LossSum: r.LossSum,
				Correct: r.Correct, Top5: r.Top5, Examples: r.Examples,
			}
			for _, s := range r.Shares {
				entry.Workers = append(entry.Workers, r.Workers[s.Worker])
				row.Shares = append(row.Shares, &api.Share{Worker: uint32(len(entry.Workers) - 1), Low: s.Low, High: s.High})
			}
			entry.Rows = append(entry.Rows, row)
		}
		head = ledger.RecordChain(head, entry, rows[0].UnixNanos)
		seq := job.Sequence{Train: 70, Test: 30, Epochs: 2, Batch: 16, MicroBatches: 8} // the sets of idx and small
		if err := l.Append(ledger.FromCommit(seq, entry, rows[0].UnixNanos, head)...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return errors.Join(l.Sync(), l.Close())
}

// ran runs a command and returns its exit code and what it wrote.
func ran(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Exit("coordinator", &errs, run(t.Context(), args, &out, &errs))
	return code, out.String(), errs.String()
}

// decode reads a JSON value that has the fields of T and no others.
func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// TestRecordsOfFolders: a run is verified as a whole and in parts, a record that was
// altered is not, and two runs are compared.
func TestRecordsOfFolders(t *testing.T) {
	dir := t.TempDir()
	flags := append(small(t), "--model", "lenet-relu", "--set", "optimizer.momentum=0.5", "--set", "checkpoint.keep=9")
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	trained(t, append(flags, "--out", a)...)
	trained(t, append(flags, "--out", b, "--workers", "3")...)
	trained(t, append(flags, "--out", c, "--seed", "2")...)

	for _, part := range []struct {
		steps      string
		from, to   int
		start      int
		onThreads  string
		wantedNote string
	}{
		{":", 0, 12, 0, "1", ""},
		{"6:", 6, 12, 6, "3", ""},
		{"8:10", 8, 10, 6, "2", "note: state 8 is not to be had: computing from state 6 on\n"},
	} {
		code, out, errs := ran(t, "job", "verify", a, "--steps", part.steps, "--threads", part.onThreads, "-o", "json")
		v := decode[verdictJSON](t, out)
		v.Seconds = 0
		if want := (verdictJSON{Job: a, From: part.from, To: part.to, Start: part.start, Verified: true, VerifiedSteps: part.to - part.from}); code != 0 || v != want || errs != part.wantedNote {
			t.Errorf("steps %s: exit code %d, %+v, %q, want %+v", part.steps, code, v, errs, want)
		}
	}
	if code, out, errs := ran(t, "job", "diff", a, b, "-o", "json"); code != 0 || errs != "" {
		t.Errorf("exit code %d, %q", code, errs)
	} else if p := decode[partingJSON](t, out); !p.Equal || p.StepsA != 12 || p.StepsB != 12 || p.First != nil || !p.RecipesKnown {
		t.Errorf("one recipe, one worker and three: %+v", p)
	}
	if code, out, _ := ran(t, "job", "diff", a, c, "-o", "json"); code != 1 {
		t.Errorf("exit code %d", code)
	} else if p := decode[partingJSON](t, out); p.Equal || p.First.Step != 0 || p.First.Field != "state_digest" || !slices.Equal(p.Recipe, []pairJSON{{"seed", "1", "2"}}) {
		t.Errorf("another seed: %+v", p)
	}

	one, err := ledgerFileOf(a)
	two, err2 := ledgerFileOf(b)
	if err := errors.Join(err, err2, forged(two, 7)); err != nil {
		t.Fatal(err)
	}
	code, out, errs := ran(t, "job", "verify", b, "-o", "json")
	v := decode[verdictJSON](t, out)
	if code != 1 || v.Verified || v.VerifiedSteps != 7 || v.First == nil || v.First.Step != 7 || v.First.Field != "gradient_digest" || v.First.Ledger != strings.Repeat("07", 16) || !strings.Contains(errs, "step 7 of "+b) {
		t.Errorf("a forged step: exit code %d, %+v, %q", code, v, errs)
	}
	if code, out, _ := ran(t, "job", "diff", one, b, "-o", "json"); code != 1 {
		t.Errorf("exit code %d", code)
	} else if p := decode[partingJSON](t, out); p.First == nil || p.First.Step != 7 || p.First.Field != "gradient_digest" || len(p.Recipe) != 0 {
		t.Errorf("a forged step: %+v", p)
	}
}

// TestRecordsOfClusters: a cluster's job is verified with what comes over the wire
// (recipe, rows, checkpoint, manifest and shards), gradients rounded on theirs, and
// compared with itself.
func TestRecordsOfClusters(t *testing.T) {
	c := clustertest.Start(t, clustertest.Config{Replicas: 3, Workers: 2})
	set := clustertest.Sharded()
	id := c.Submit("model: lenet\ndata: small\nepochs: 2\nbatch: 10\noptimizer: {lr: 0.5, momentum: 0.5}\nwire: bf16\n", set)
	c.WaitDone(id)
	steps := 2 * ((set.Manifest.Train+9)/10 + 1)
	at := []string{"--addr", c.Addresses()}
	code, out, errs := ran(t, append([]string{"job", "verify", id, "-o", "json"}, at...)...)
	if v := decode[verdictJSON](t, out); code != 0 || !v.Verified || v.VerifiedSteps != steps || v.Start != 0 {
		t.Errorf("exit code %d, %+v, %q, want %d steps", code, v, errs, steps)
	}
	code, out, errs = ran(t, append([]string{"job", "verify", id, "--steps", strconv.Itoa(steps/2) + ":", "-o", "json"}, at...)...)
	if v := decode[verdictJSON](t, out); code != 0 || !v.Verified || v.VerifiedSteps != steps/2 || v.Start != steps/2 || errs != "" {
		t.Errorf("the second epoch, from the checkpoint behind the first: exit code %d, %+v, %q", code, v, errs)
	}
	if code, out, errs = ran(t, append([]string{"job", "diff", id, id, "-o", "json"}, at...)...); code != 0 {
		t.Errorf("exit code %d, %q", code, errs)
	} else if p := decode[partingJSON](t, out); !p.Equal || p.StepsA != steps || !p.RecipesKnown {
		t.Errorf("a job and itself: %+v", p)
	}
	code, out, errs = ran(t, append([]string{"job", "ledger", id, "--steps", "1:3", "-o", "json"}, at...)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 2 {
		t.Fatalf("exit code %d, %q, %q", code, out, errs)
	}
	if r := decode[rowJSON](t, lines[0]); r.Step != 1 || r.Seconds < 0 || r.Seconds > time.Hour.Seconds() || len(r.Shares) == 0 {
		t.Errorf("%+v", r)
	}
	if code, _, errs = ran(t, append([]string{"job", "verify", "nothing-1"}, at...)...); code != 1 || !strings.Contains(errs, `there is no job "nothing-1"`) {
		t.Errorf("no such job: exit code %d, %q", code, errs)
	}
}

// TestKeptSteps: the checkpoints that a cluster keeps follow from the job file.
func TestKeptSteps(t *testing.T) {
	seq := job.Sequence{Train: 70, Test: 30, Epochs: 4, Batch: 16, MicroBatches: 8} // 6 steps an epoch
	for _, c := range []struct {
		newest uint64
		file   string
		want   []int
	}{
		{0, "model: lenet\ndata: digits\n", nil},
		{18, "model: lenet\ndata: digits\n", []int{18, 12}},
		{6, "model: lenet\ndata: digits\n", []int{6}},
		{19, "model: lenet\ndata: digits\ncheckpoint: {every: 2, keep: 4}\n", []int{19, 16, 14, 11}},
		{18, "from another release: true\n", []int{18, 12}},
	} {
		got := keptSteps(&api.JobStatus{CheckpointStep: c.newest, JobFile: c.file}, seq)
		if !slices.Equal(got, c.want) {
			t.Errorf("newest %d of %q: %v, want %v", c.newest, c.file, got, c.want)
		}
	}
}

// TestPrintedVerdicts pins what people read.
func TestPrintedVerdicts(t *testing.T) {
	field := func(name string) verify.Field { return verify.Field{Name: name, A: "1", B: "2"} }
	for want, v := range map[string]interface{ print(w *bytes.Buffer) error }{
		"steps 5 to 124 verified: 120 steps, 33.5 s\n": verdict{verify.Report{From: 5, To: 125, Start: 5, Verified: 120, Took: 33500 * time.Millisecond}},
		"step 17 differs; of steps 10 to 19, 7 are verified\n\n" +
			"FIELD            LEDGER  RECOMPUTED\ngradient_digest  1       2\nloss_sum         1       2\n": verdict{verify.Report{
			From: 10, To: 20, Verified: 7, First: &verify.Difference{Step: 17, Field: field("gradient_digest"), Others: []verify.Field{field("loss_sum")}},
		}},
		"the same result for all 12 steps\n":                                parting{verify.Comparison{StepsA: 12, StepsB: 12}},
		"the same result for all 10 steps that both have: a has 12, b 10\n": parting{verify.Comparison{StepsA: 12, StepsB: 10}},
		"the recipes differ\n\nKEY     a    b\nepochs  \"1\"  -\n\nnone of the 10 steps that both have differs\n": parting{verify.Comparison{
			StepsA: 12, StepsB: 10, RecipesKnown: true, Recipe: []job.KeyDifference{{Key: "epochs", A: `"1"`}},
		}},
		"the runs part at step 3\n\nFIELD     a  b\nloss_sum  1  2\n\none recipe gives one result: a machine computed wrongly, or a record was altered\n" +
			"`coordinator job verify a` and `coordinator job verify b` tell which\n": parting{verify.Comparison{
			StepsA: 12, StepsB: 10, RecipesKnown: true, First: &verify.Difference{Step: 3, Field: field("loss_sum")},
		}},
	} {
		var out bytes.Buffer
		if err := v.print(&out); err != nil || out.String() != want {
			t.Errorf("%v, printed\n%s\nwant\n%s", err, out.String(), want)
		}
	}
}

type (
	verdict struct{ verify.Report }
	parting struct{ verify.Comparison }
)

func (v verdict) print(w *bytes.Buffer) error { return verdictOf("run", v.Report).print(w) }
func (p parting) print(w *bytes.Buffer) error {
	return partingOf([]string{"a", "b"}, p.Comparison).print(w)
}

// TestCounter: a terminal is told ten times a second how far it is, another writer
// nothing at all.
func TestCounter(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	c := &counter{terminal: &out, now: func() time.Time { return now }}
	for done := 1; done <= 30; done++ {
		now = now.Add(50 * time.Millisecond)
		c.show(done, 30)
	}
	c.clear()
	shown := strings.Split(out.String(), "\r\x1b[K")
	if len(shown) != 17 || shown[1] != "step 1/30" || shown[12] != "step 23/30  1s left" || shown[16] != "" {
		t.Errorf("shown %d times: %q", len(shown), shown)
	}
	other := newCounter(&out)
	out.Reset()
	other.show(1, 2)
	other.clear()
	if out.Len() > 0 {
		t.Errorf("no terminal, but %q", out.String())
	}
}
