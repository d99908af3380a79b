package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"convoy/api"
	"convoy/client"
	"convoy/cmd/internal/cli"
	"convoy/data"
	"convoy/digest"
	"convoy/inspect"
	"convoy/job"
	"convoy/kernels"
	"convoy/verify"
)

// verifyFlags are the flags of `job verify`.
type verifyFlags struct {
	steps   steps
	threads int
	data    dataChoice
	output  output
}

func verifyCommand(r *remote) *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify JOB|RUN",
		Short: "Compute a job's steps again and compare them with its ledger",
		Long: `Computes steps of a cluster's job, or of the run in a folder, again on this machine
and compares what comes of them with the ledger, to the bit: gradients, losses,
counts, chains and states. The chains of the whole ledger are checked before
anything is computed. Some of the steps begin with the newest state at hand that is
not beyond them: a checkpoint that the folder or the cluster keeps, or state 0. Exit
code 0 means that every step is what the recipe gives, 1 that one is not; the output
names the first.`,
		Example: `  coordinator job verify runs/lenet-relu-1
  coordinator job verify lenet-relu-k3v9qa --steps 100:200 --addr 10.0.0.5:7070`,
		Args: one("the id that submit printed (see `coordinator job list`), or a run's folder"),
		RunE: func(c *cobra.Command, args []string) error {
			set, err := f.data.open()
			if err != nil {
				return err
			}
			return withPool(f.threads, func(pool *kernels.Pool) error {
				return r.runOf(c, args[0], set, func(run verify.Run) error {
					return f.verify(c, args[0], run, pool)
				})
			})
		},
	}
	f.steps.flag(c, "steps to verify, from A to B−1 (default all)")
	f.data.flags(c, "the job's own")
	c.Flags().IntVar(&f.threads, "threads", 0, "goroutines to compute with (default all cores)")
	f.output.flag(c)
	return c
}

// runOf calls do with the run in a folder or a cluster's job; set, where there is
// one, stands in for the data that are there.
func (r *remote) runOf(c *cobra.Command, name string, set *data.Set, do func(verify.Run) error) error {
	find := r.jobRun
	if onDisk(name) {
		find = func(c *cobra.Command, name string, do func(verify.Run) error) error {
			run, err := folderRun(c, name)
			if err != nil {
				return cli.Usage(err)
			}
			return do(run)
		}
	}
	return find(c, name, func(run verify.Run) error {
		if set != nil {
			if got := set.Manifest.Digest().String(); got != run.Recipe.Data.Manifest {
				return cli.Usagef("data set %s has the manifest %s, %s was trained on %s: name its own", set.Manifest.Name, got, name, run.Recipe.Data.Manifest)
			}
			run.Data = func(context.Context, func(error)) (*data.Set, *data.Lazy, error) { return set, nil, nil }
		}
		return do(run)
	})
}

// folderRun is the run in a folder.
func folderRun(c *cobra.Command, name string) (verify.Run, error) {
	rec, err := inspect.OpenRecord(name)
	if err != nil {
		return verify.Run{}, err
	}
	canonical, err := rec.Recipe()
	if err == nil && len(canonical) == 0 {
		err = fmt.Errorf("%s has neither a checkpoint nor the job file: name the folder of the run", name)
	}
	if err != nil {
		return verify.Run{}, err
	}
	recipe, err := job.ParseRecipe(canonical)
	if err != nil {
		return verify.Run{}, fmt.Errorf("%s: %w", name, err)
	}
	run := verify.Run{
		Recipe: recipe, Rows: rec.Rows(), Digests: map[int]digest.Sum{},
		Data: func(life context.Context, fail func(error)) (*data.Set, *data.Lazy, error) {
			return rec.Data(life, recipe, fail)
		},
	}
	states, err := rec.States()
	if err != nil {
		note(c, err.Error())
	}
	for path, about := range states {
		run.Digests[about.Step] = about.Digest
		run.States = append(run.States, verify.State{
			Step: about.Step, File: func(context.Context) (string, error) { return path, nil },
		})
	}
	return run, nil
}

// jobRun is a cluster's job. One of its checkpoints is fetched where it is of use.
func (r *remote) jobRun(c *cobra.Command, name string, do func(verify.Run) error) error {
	return r.with(func(cl *client.Client) (err error) {
		s, err := cl.Status(c.Context(), name)
		if err != nil {
			return err
		}
		recipe, err := job.ParseRecipe([]byte(s.GetRecipe()))
		if err != nil {
			return fmt.Errorf("job %s: %w", name, err)
		}
		dir, err := os.MkdirTemp("", "convoy-verify-")
		if err != nil {
			return fmt.Errorf("folder for the checkpoint: %w: set TMPDIR to one that can be written", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		run := verify.Run{Recipe: recipe, Rows: cl.Rows(c.Context(), name, 0), Digests: map[int]digest.Sum{}}
		if sum, err := digest.Parse(s.GetDigest()); err == nil {
			run.Digests[int(s.GetDigestStep())] = sum
		}
		for _, step := range keptSteps(s, recipe.Sequence()) {
			run.States = append(run.States, verify.State{Step: step, File: func(ctx context.Context) (string, error) {
				path := filepath.Join(dir, "state.safetensors")
				return path, cl.Checkpoint(ctx, name, step, path)
			}})
		}
		sets := client.Sets{Replicas: cl.Connections, Trouble: func(err error) { note(c, "a shard cannot be had, trying again: "+err.Error()) }}
		run.Data = func(life context.Context, _ func(error)) (*data.Set, *data.Lazy, error) {
			return sets.Open(life, life, recipe)
		}
		return do(run)
	})
}

// keptSteps are the steps whose checkpoints the replicas keep: the newest and, by
// the job file, some before it.
func keptSteps(s *api.JobStatus, seq job.Sequence) (steps []int) {
	newest := int(s.GetCheckpointStep())
	file, err := job.Parse([]byte(s.GetJobFile()), "job file")
	if err != nil {
		file.Checkpoint = job.Default().Checkpoint
	}
	for t := newest; t > 0 && len(steps) < file.Checkpoint.Keep; t-- {
		if t == newest || seq.CheckpointDue(file.Checkpoint.Every, t) {
			steps = append(steps, t)
		}
	}
	return steps
}

// note tells on stderr what is worth knowing and no error. Where even stderr is
// gone, there is nobody to tell.
func note(c *cobra.Command, text string) { _, _ = fmt.Fprintln(c.ErrOrStderr(), "note:", text) }

func (f verifyFlags) verify(c *cobra.Command, name string, run verify.Run, pool *kernels.Pool) error {
	shown := newCounter(c.ErrOrStderr())
	report, err := run.Verify(c.Context(), verify.Options{
		From: f.steps.from, To: f.steps.to, Pool: pool, Progress: shown.show,
		Note: func(text string) { note(c, text) },
	})
	shown.clear()
	if err != nil {
		return fmt.Errorf("verify %s: %w", name, err)
	}
	v := verdictOf(name, report)
	if f.output == jsonOutput {
		err = writeJSON(c.OutOrStdout(), v)
	} else {
		err = v.print(c.OutOrStdout())
	}
	if d := report.First; d != nil {
		return errors.Join(err, fmt.Errorf("step %d of %s is not what its recipe gives: a machine computed wrongly or the record was altered; verify it on another machine too", d.Step, name))
	}
	return err
}

// verdictJSON is what -o json prints.
type verdictJSON struct {
	Job           string          `json:"job"`
	From          int             `json:"from"`     // first step
	To            int             `json:"to"`       // the step behind the last
	Start         int             `json:"start"`    // the state that computing began with
	Verified      bool            `json:"verified"` // all of them are what the recipe gives
	VerifiedSteps int             `json:"verified_steps"`
	Seconds       float64         `json:"seconds"` // of computing
	First         *differenceJSON `json:"first_difference"`
}

type differenceJSON struct {
	Step int `json:"step"`
	fieldJSON
	Others []fieldJSON `json:"others,omitempty"` // fields of the step that differ too
}

type fieldJSON struct {
	Field      string `json:"field"`
	Ledger     string `json:"ledger"`
	Recomputed string `json:"recomputed"`
}

func verdictOf(name string, r verify.Report) verdictJSON {
	v := verdictJSON{
		Job: name, From: r.From, To: r.To, Start: r.Start, Verified: r.First == nil, VerifiedSteps: r.Verified,
		Seconds: r.Took.Round(time.Millisecond).Seconds(),
	}
	if d := r.First; d != nil {
		v.First = &differenceJSON{Step: d.Step, fieldJSON: fieldJSON{d.Name, d.A, d.B}}
		for _, f := range d.Others {
			v.First.Others = append(v.First.Others, fieldJSON{f.Name, f.A, f.B})
		}
	}
	return v
}

func (v verdictJSON) print(w io.Writer) error {
	if v.First == nil {
		_, err := fmt.Fprintf(w, "steps %d to %d verified: %d steps, %.1f s\n", v.From, v.To-1, v.VerifiedSteps, v.Seconds)
		return err
	}
	what := "step"
	if v.First.Step == v.To {
		what = "state" // what the last step led to
	}
	if _, err := fmt.Fprintf(w, "%s %d differs; of steps %d to %d, %d are verified\n\n", what, v.First.Step, v.From, v.To-1, v.VerifiedSteps); err != nil {
		return err
	}
	rows := [][]string{{"FIELD", "LEDGER", "RECOMPUTED"}}
	for _, f := range append([]fieldJSON{v.First.fieldJSON}, v.First.Others...) {
		rows = append(rows, []string{f.Field, f.Ledger, f.Recomputed})
	}
	return table(w, rows)
}

// counter shows on a terminal how many of how many steps are done, in one line that
// is written again and again; elsewhere it shows nothing.
type counter struct {
	terminal io.Writer // nil where there is none
	now      func() time.Time
	began    time.Time
	last     time.Time
}

func newCounter(w io.Writer) *counter {
	c := &counter{now: time.Now}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		c.terminal = w
	}
	return c
}

// countEvery is the time between two lines.
const countEvery = 100 * time.Millisecond

func (c *counter) show(done, total int) {
	now := c.now()
	if c.began.IsZero() {
		c.began = now
	}
	if c.terminal == nil || now.Sub(c.last) < countEvery {
		return
	}
	c.last = now
	text := fmt.Sprintf("step %d/%d", done, total)
	if took := now.Sub(c.began); took >= minPace {
		text += "  " + roughly(time.Duration(float64(took)/float64(done)*float64(total-done))) + " left"
	}
	_, _ = fmt.Fprint(c.terminal, "\r\x1b[K"+text) // a person who is gone sees nothing
}

// clear wipes the line away.
func (c *counter) clear() {
	if c.terminal != nil && !c.last.IsZero() {
		_, _ = fmt.Fprint(c.terminal, "\r\x1b[K")
	}
}
