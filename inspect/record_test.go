package inspect

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"convoy/api"
	"convoy/checkpoint"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
	"convoy/ledger"
	"convoy/models"
)

// recordOf makes the folder of a run on set with one step and the checkpoints of
// some steps, and returns it with the run's recipe.
func recordOf(t *testing.T, set *data.Set, steps ...string) (dir string, r job.Recipe) {
	t.Helper()
	dir = t.TempDir()
	at := filepath.Join(dir, jobsDir, "colours-1")
	if err := os.MkdirAll(filepath.Join(at, checkpointsDir), 0o755); err != nil {
		t.Fatal(err)
	}
	f := job.Default()
	for _, o := range []string{"model=lenet-relu", "data=colours", "epochs=1", "batch=8"} {
		if err := f.Set(o); err != nil {
			t.Fatal(err)
		}
	}
	r = f.Recipe(set.Manifest.ForRecipe())
	store, err := data.OpenStore(filepath.Join(dir, dataDir))
	if err == nil {
		err = store.PutManifest(set.Manifest)
	}
	for _, shard := range set.Manifest.Shards {
		b, failed := set.Shard(shard)
		err = errors.Join(err, failed, store.Put(shard.Digest(), b))
	}
	err = errors.Join(err, os.WriteFile(filepath.Join(dir, jobFile), f.YAML(), 0o600))
	state, failed := models.Initial(r)
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	for i, step := range steps {
		about := checkpoint.Meta{Recipe: r, Step: i + 1, Chain: digest.Of(nil), Digest: state.Digest()}
		if _, err := checkpoint.Write(filepath.Join(at, checkpointsDir, "step-"+step+".safetensors"), state, about); err != nil {
			t.Fatal(err)
		}
	}
	l, err := ledger.Open(filepath.Join(at, ledgerFile), digest.Of(nil))
	if err != nil {
		t.Fatal(err)
	}
	chain := digest.Of(nil)
	entry := &api.StepCommit{ChainBefore: chain[:], Rows: []*api.CommittedRow{{GradientDigest: make([]byte, 16)}}}
	err = errors.Join(l.Append(ledger.FromCommit(r.Sequence(), entry, 1, ledger.RecordChain(nil, entry, 1))...), l.Close())
	if err != nil {
		t.Fatal(err)
	}
	return dir, r
}

// TestRecord: whatever of a run is named, its record is found, and the recipe is
// known as long as a checkpoint or the job file is there.
func TestRecord(t *testing.T) {
	dir, r := recordOf(t, colourful(t), "000000001", "000000002")
	at := filepath.Join(dir, jobsDir, "colours-1")
	checkpoints := filepath.Join(at, checkpointsDir)
	damage := func(name string) func() error {
		return func() error { return os.WriteFile(filepath.Join(checkpoints, name), []byte("?"), 0o600) }
	}
	for _, c := range []struct {
		what   string
		change func() error
		states int
		recipe bool
	}{
		{"whole", func() error { return nil }, 2, true},
		{"the newest checkpoint is damaged", damage("step-000000002.safetensors"), 1, true},
		{"both are", damage("step-000000001.safetensors"), 0, true},
		{"there are none", func() error { return os.RemoveAll(checkpoints) }, 0, true},
		{"nor a job file", func() error { return os.Remove(filepath.Join(dir, jobFile)) }, 0, false},
	} {
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{dir, at, filepath.Join(at, ledgerFile)} {
			rec, err := OpenRecord(name)
			if err != nil {
				t.Fatal(err)
			}
			recipe, err := rec.Recipe()
			if err != nil || c.recipe && !bytes.Equal(recipe, r.Canonical()) || !c.recipe && len(recipe) > 0 {
				t.Errorf("%s: recipe %s, %v", c.what, recipe, err)
			}
			states, err := rec.States()
			if len(states) != c.states || (err != nil) != (strings.Contains(c.what, "damaged") || c.what == "both are") {
				t.Errorf("%s: %d states, %v, want %d", c.what, len(states), err, c.states)
			}
			for _, about := range states {
				if about.Step < 1 || about.Step > c.states || about.Recipe.Hash() != r.Hash() {
					t.Errorf("%s: %+v", c.what, about)
				}
			}
			rows := 0
			for row, err := range rec.Rows() {
				if rows++; err != nil || row.GetStep() != 0 {
					t.Errorf("%s: %v, %v", c.what, row, err)
				}
			}
			if rows != 1 {
				t.Errorf("%s: %d rows", c.what, rows)
			}
		}
	}
}

// TestRecordsData: the data come from the run's own shards, and a missing one is
// told before anything is computed.
func TestRecordsData(t *testing.T) {
	set := colourful(t)
	dir, r := recordOf(t, set)
	rec, err := OpenRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	fail := func(err error) { t.Errorf("a shard is missing: %v", err) }
	got, lazy, err := rec.Data(context.Background(), r, fail)
	if err != nil || lazy != nil || got.Manifest.Digest() != set.Manifest.Digest() {
		t.Fatalf("%+v, %v, %v", got, lazy, err)
	}
	a, b := make([]byte, set.Manifest.ImageBytes()), make([]byte, set.Manifest.ImageBytes())
	if label := got.Train.Example(7, a); label != set.Train.Example(7, b) || !bytes.Equal(a, b) {
		t.Error("example 7 is another one")
	}
	sum := set.Manifest.Shards[0].Digest()
	if err := os.Remove(filepath.Join(dir, dataDir, "shards", sum.String())); err != nil {
		t.Fatal(err)
	}
	if _, _, err := rec.Data(context.Background(), r, fail); err == nil || !strings.Contains(err.Error(), "1 of its 2 shards are not in the run's folder") {
		t.Errorf("a missing shard: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, dataDir)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := rec.Data(context.Background(), r, fail); err == nil || !strings.Contains(err.Error(), "name it with --data") {
		t.Errorf("no data: %v", err)
	}
	r.Data.Name = "digits" // which this release makes otherwise
	if _, _, err := rec.Data(context.Background(), r, fail); err == nil || !strings.Contains(err.Error(), "run the same release everywhere") {
		t.Errorf("built-in data of another release: %v", err)
	}
}

func TestOpenRecordRefuses(t *testing.T) {
	empty := t.TempDir()
	for name, want := range map[string]string{filepath.Join(empty, "x"): "name the folder of a run", empty: "holds no run"} {
		if _, err := OpenRecord(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
