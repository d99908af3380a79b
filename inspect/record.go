package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"convoy/api"
	"convoy/checkpoint"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
	"convoy/ledger"
)

// A Record is what a folder holds of a run: its ledger and, as far as they are
// there, recipe, states and data.
type Record struct {
	file  string   // the ledger
	files []string // checkpoints, latest first
	job   string   // the job file that `train` wrote
}

// The job file beside the jobs folder of a run.
const jobFile = "job.yaml"

// OpenRecord finds the record in a run's folder, in the folder of one of its jobs,
// or around a ledger's file.
func OpenRecord(run string) (*Record, error) {
	info, err := os.Stat(run)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w: name the folder of a run (see `coordinator train`), or a ledger's file", run, err)
	}
	file := run
	if info.IsDir() {
		dir, err := jobDir(run)
		if err != nil {
			return nil, err
		}
		file = filepath.Join(dir, ledgerFile)
	}
	dir := filepath.Dir(file)
	r := &Record{file: file, job: filepath.Join(dir, "..", "..", jobFile)}
	if r.files, err = filepath.Glob(filepath.Join(dir, checkpointsDir, checkpointFiles)); err != nil {
		return nil, err
	}
	slices.Sort(r.files)
	slices.Reverse(r.files)
	return r, nil
}

// Rows returns the ledger's rows, of a process that still writes to it too.
func (r *Record) Rows() iter.Seq2[*api.LedgerRow, error] { return ledger.Read(r.file) }

// Recipe returns the canonical recipe: as the newest checkpoint that can be read
// has it, of whatever release, else as this release reads the job file. It is empty
// where the folder has neither.
func (r *Record) Recipe() ([]byte, error) {
	var errs []error
	for _, file := range r.files {
		recipe, err := checkpoint.Recipe(file)
		if err == nil {
			return recipe, nil
		}
		errs = append(errs, err)
	}
	recipe, err := r.jobRecipe()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(errs...)
	}
	return recipe, err
}

// jobRecipe is the recipe of the job file with the data in the run's folder.
func (r *Record) jobRecipe() ([]byte, error) {
	source, err := os.ReadFile(r.job)
	if err != nil {
		return nil, err
	}
	file, err := job.Parse(source, r.job)
	if err != nil {
		return nil, err
	}
	m, err := r.manifest(file.Data.Name)
	if err != nil {
		return nil, err
	}
	return file.Recipe(m.ForRecipe()).Canonical(), nil
}

// manifest finds the data set called name: built in, or the one in the run's
// folder.
func (r *Record) manifest(name string) (data.Manifest, error) {
	if data.Builtin(name) {
		return data.Digits().Manifest, nil
	}
	dir := filepath.Join(filepath.Dir(r.job), dataDir)
	store, err := data.OpenStore(dir)
	if err != nil {
		return data.Manifest{}, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, manifestsDir))
	if err != nil {
		return data.Manifest{}, err
	}
	for _, e := range entries {
		sum, err := digest.Parse(e.Name())
		if err != nil {
			continue // a file that is being written
		}
		if m, err := store.Manifest(sum); err != nil || m.Name == name {
			return m, err
		}
	}
	return data.Manifest{}, fmt.Errorf("data set %s is not in %s", name, dir)
}

// States returns the metadata of the checkpoints in the folder, by path. One that
// cannot be read is left out, and why is joined in the error.
func (r *Record) States() (map[string]checkpoint.Meta, error) {
	states := map[string]checkpoint.Meta{}
	var errs []error
	for _, file := range r.files {
		about, err := checkpoint.About(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		states[file] = about
	}
	return states, errors.Join(errs...)
}

// Data opens what the run was trained on: built in, or from its own shards. A set
// that is not held in memory lives as long as life, and fail is called where one
// of its shards cannot be read any more.
func (r *Record) Data(life context.Context, recipe job.Recipe, fail func(error)) (*data.Set, *data.Lazy, error) {
	want, err := digest.Parse(recipe.Data.Manifest)
	if err != nil {
		return nil, nil, err
	}
	if data.Builtin(recipe.Data.Name) {
		set, err := data.OpenBuiltin(want)
		return set, nil, err
	}
	store, m, err := storeAround(filepath.Dir(r.file), want)
	if err != nil {
		return nil, nil, err
	}
	if m == nil {
		return nil, nil, fmt.Errorf("it is not in a run's folder around %s: name it with --data", r.file)
	}
	if lacking := store.Lacking(*m); len(lacking) > 0 {
		return nil, nil, fmt.Errorf("%d of its %d shards are not in the run's folder around %s: name it with --data", len(lacking), len(m.Shards), r.file)
	}
	return data.OpenShards(life, life, *m, recipe.Window, 0, folder{store, fail})
}

// folder is a store of shards that nobody adds to.
type folder struct {
	store *data.Store
	fail  func(error)
}

func (f folder) Get(_ context.Context, sha digest.Sum) ([]byte, error) { return f.store.Get(sha) }

func (f folder) Trouble(err error) { f.fail(err) }
