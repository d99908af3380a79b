package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"convoy/cmd/internal/cli"
	"convoy/job"
)

// The files that `train` adds to the folder of a run. The rest is the
// coordinator's own: Raft log, ledger, checkpoints.
const (
	jobFileName    = "job.yaml"          // resolved; its presence makes a folder a run
	modelFileName  = "model.safetensors" // the last checkpoint, once the job has finished
	resultFileName = "result.json"       // what -o json prints
	logFileName    = "log.jsonl"
)

// defaultJob is what `train` trains unless told otherwise.
const defaultJob = "model: lenet-relu\ndata: digits\n"

// trainFlags are the flags of `train` that are not part of the job file.
type trainFlags struct {
	jobFile         string
	sets            []string
	settings        []*setting
	workers         int
	threads         int
	out, resume     string
	withoutProgress bool
	output          output
}

func trainCommand() *cobra.Command {
	f := trainFlags{settings: settings()}
	c := &cobra.Command{
		Use:   "train",
		Short: "Train a network in this process",
		Long: `Trains a network in this process, with the same machinery as a cluster: a Raft
log of one voter, the parameter server and one or more workers. Without flags it
trains lenet-relu on the built-in data set digits. Progress goes to stderr, the
result to stdout, and everything that is needed to go on after an interrupt into
the folder of the run. The bits of the model depend on the recipe alone: neither
--workers nor --threads changes them.`,
		Example: `  coordinator train
  coordinator train --model lenet --data mnist --data-dir ~/mnist --lr 0.9 --epochs 10
  coordinator train --workers 4 --out runs/four -o json
  coordinator train --resume runs/four`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return train(c, f) },
	}
	addSettings(c.Flags(), f.settings)
	c.Flags().StringVar(&f.jobFile, "job", "", "read a job file first; other flags override it")
	c.Flags().StringArrayVar(&f.sets, "set", nil, "override a key of the job file, KEY=VALUE; may be given several times")
	c.Flags().IntVar(&f.workers, "workers", 1, "workers in this process")
	c.Flags().IntVar(&f.threads, "threads", 0, "goroutines of each worker (default all cores divided by the workers)")
	c.Flags().StringVar(&f.out, "out", "", "folder for the run, new or empty (default runs/NAME-N)")
	c.Flags().StringVar(&f.resume, "resume", "", "go on with the run in this folder")
	c.Flags().BoolVar(&f.withoutProgress, "no-progress", false, "show no progress")
	f.output.flag(c)
	return c
}

func train(c *cobra.Command, f trainFlags) error {
	r, err := f.plan(c)
	if err != nil {
		return err
	}
	if f.resume != "" {
		done, err := printFinished(c, r)
		if done || err != nil {
			return err
		}
	}
	return r.train(c)
}

// trainRun is one training run in this process.
type trainRun struct {
	file    job.File
	dir     string
	resumed bool
	workers int
	threads int // of each worker
	show    bool
	output  output
}

// plan checks the flags and finds the folder; it writes nothing.
func (f trainFlags) plan(c *cobra.Command) (*trainRun, error) {
	if f.workers < 1 || f.threads < 0 {
		return nil, cli.Usagef("--workers %d --threads %d: want at least 1 worker, and 0 threads (the default) or more", f.workers, f.threads)
	}
	r := &trainRun{workers: f.workers, threads: f.threads, show: !f.withoutProgress, output: f.output}
	if r.threads == 0 {
		r.threads = max(1, runtime.GOMAXPROCS(0)/f.workers)
	}
	given := append(f.sets, overrides(c.Flags(), f.settings)...)
	if f.resume != "" {
		r.dir, r.resumed = f.resume, true
		return r, f.planResume(r, given)
	}
	var err error
	if f.jobFile != "" {
		r.file, err = readJobFile(f.jobFile, given)
	} else {
		r.file, err = job.Parse([]byte(defaultJob), "command line", given...)
	}
	if err != nil {
		return nil, cli.Usage(err)
	}
	if f.workers < r.file.Workers.Min {
		return nil, cli.Usagef("--workers %d: the job file asks for at least %d (workers.min)", f.workers, r.file.Workers.Min)
	}
	r.dir, err = freeFolder(f.out, r.file.Name)
	return r, err
}

// planResume takes the settings from the run's own folder.
func (f trainFlags) planResume(r *trainRun, given []string) error {
	if f.out != "" || f.jobFile != "" {
		return cli.Usagef("--resume goes on with the run in %s and takes everything from there: leave out --out and --job", f.resume)
	}
	path := filepath.Join(f.resume, jobFileName)
	if _, err := os.Stat(path); err != nil {
		return cli.Usagef("%s holds no run to resume: %w; name the folder that `train` printed", f.resume, err)
	}
	var err error
	if r.file, err = readJobFile(path, nil); err != nil {
		return err
	}
	what, err := contradiction(r.file, given)
	if err == nil && what != "" {
		err = cli.Usagef("%s contradicts the run in %s, whose settings are in %s: leave it out, or train anew without --resume", what, f.resume, path)
	}
	return err
}

// freeFolder returns the folder for a new run: out, or the first of runs/NAME-1,
// runs/NAME-2 and so on that does not exist.
func freeFolder(out, name string) (string, error) {
	if out == "" {
		name = strings.ReplaceAll(name, "/", "-") // as in vgg11/4
		for n := 1; ; n++ {
			dir := filepath.Join("runs", fmt.Sprintf("%s-%d", name, n))
			if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
				return dir, nil
			} else if err != nil {
				return "", fmt.Errorf("folder for the run: %w: name one with --out", err)
			}
		}
	}
	entries, err := os.ReadDir(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return out, nil
	case err != nil:
		return "", cli.Usagef("--out %s: %w: name a folder that is new or empty", out, err)
	case len(entries) == 0:
		return out, nil
	}
	if _, err := os.Stat(filepath.Join(out, jobFileName)); err == nil {
		return "", cli.Usagef("%s holds a run already: go on with it by --resume %s, or name another folder", out, out)
	}
	return "", cli.Usagef("--out %s: the folder is not empty: name one that is new or empty", out)
}

// program is how the user started this program, for the commands that it tells
// them to type.
func program() string {
	path, err := os.Executable()
	if err == nil && strings.Contains(path, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/coordinator" // go run builds into such a folder
	}
	return "coordinator"
}
