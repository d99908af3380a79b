// Package verify answers two questions about the records of runs: are these the
// steps that the recipe gives (Run.Verify, which computes them again), and where do
// two runs part, and why (Diff).
//
// It promises that what it calls verified was computed again on this machine, from
// state 0 or from a state of the run, with the code that workers and replicas use,
// and had the bits of the record. It knows neither clusters nor folders: records,
// states and data come from the caller.
package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"convoy/api"
	"convoy/checkpoint"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
	"convoy/kernels"
	"convoy/ledger"
	"convoy/models"
	"convoy/optim"
	"convoy/state"
)

// A Run is a job's record and what its steps can be computed again from.
type Run struct {
	Recipe job.Recipe
	Rows   iter.Seq2[*api.LedgerRow, error] // of the ledger, from step 0 on
	// States are those that can be had beside state 0, in any order.
	States []State
	// Digests are of states, by step, where somebody but the ledger recorded them.
	Digests map[int]digest.Sum
	// Data opens what the job is trained on. A lazy set lives as long as life and
	// calls fail when it cannot go on; lazy is nil where all is in memory.
	Data func(life context.Context, fail func(error)) (set *data.Set, lazy *data.Lazy, err error)
}

// A State is one that can be had as a checkpoint.
type State struct {
	Step int
	// File brings the checkpoint here and returns its path.
	File func(ctx context.Context) (path string, err error)
}

// Options say what is computed again, and how.
type Options struct {
	From, To int           // steps [From, To); a negative To: all that are recorded
	Pool     *kernels.Pool // computes; nobody else uses it meanwhile
	// Progress is told after each step how many of how many are computed; nil: nobody
	// is.
	Progress func(done, total int)
	// Note is told what was not as one would expect; nil: nobody is.
	Note func(text string)
}

// A Report is what came of it.
type Report struct {
	From, To int           // steps [From, To)
	Start    int           // the state that computing began with
	Verified int           // of the steps, how many have the bits of the record
	Steps    int           // that are recorded
	Took     time.Duration // of computing
	// First is the first step that differs, nil where none does: A is the ledger's
	// account, B what was computed. It may lie before From where computing began
	// there, and the chains are checked from step 0 on.
	First *Difference
}

// Verify checks the record's chains and then computes steps again and compares all
// that the record says of them. A step that differs is no error but the report's;
// an error says why it cannot be known.
func (r Run) Verify(ctx context.Context, o Options) (Report, error) {
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	initial, err := models.Initial(r.Recipe)
	if err != nil {
		return Report{}, err
	}
	rec, err := r.record(initial.Digest())
	if err != nil {
		return Report{}, err
	}
	report := Report{From: o.From, To: o.To, Steps: len(rec.rows), First: rec.broken}
	if report.To < 0 {
		report.To = len(rec.rows)
	}
	if rec.broken != nil {
		report.Steps = rec.broken.Step
		return report, nil
	}
	if len(rec.rows) == 0 {
		return Report{}, errors.New("the ledger has no steps yet: wait until the first ones are committed")
	}
	if report.From < 0 || report.From >= report.To || report.To > len(rec.rows) {
		return Report{}, fmt.Errorf("steps %d to %d cannot be verified: the ledger has %d, from 0 on: name some of them with --steps", report.From, report.To-1, len(rec.rows))
	}
	from, err := r.start(ctx, rec, initial, report.From, o.Note)
	if err != nil {
		return Report{}, err
	}
	if report.Start = from.step; from.step < report.From {
		o.Note(fmt.Sprintf("state %d is not to be had: computing from state %d on", report.From, from.step))
	}
	began := time.Now()
	err = r.replay(ctx, rec, from, &report, o)
	report.Took = time.Since(began)
	return report, err
}

// record is the ledger as far as its chains link.
type record struct {
	chain0 digest.Sum
	rows   []*api.LedgerRow
	broken *Difference // the row behind them
}

// chain is c(t).
func (r *record) chain(t int) digest.Sum {
	if t == 0 {
		return r.chain0
	}
	return digest.Sum(r.rows[t-1].GetChain())
}

// record reads the rows and checks what can be checked without computing: that
// they begin with state 0, and that they go on from each other.
func (r Run) record(initial digest.Sum) (*record, error) {
	rec := &record{chain0: digest.Chain0(r.Recipe.Hash(), initial)}
	steps := r.Recipe.Sequence().Len()
	rows := func(yield func(*api.LedgerRow, error) bool) {
		for row, err := range r.Rows {
			if held := row.GetStateDigest(); row.GetStep() == 0 && len(held) > 0 && string(held) != string(initial[:]) {
				rec.broken = &Difference{Field: Field{stateDigest, hex.EncodeToString(held), initial.String()}}
				return
			}
			if !yield(row, err) {
				return
			}
		}
	}
	for row, err := range ledger.Checked(rec.chain0, rows) {
		if broken := new(ledger.BrokenError); errors.As(err, &broken) {
			rec.broken = &Difference{Step: int(broken.Step), Field: Field{broken.Chain, hex.EncodeToString(broken.Held), hex.EncodeToString(broken.Computed)}}
			return rec, nil
		}
		if err != nil {
			return nil, err
		}
		if len(rec.rows) == steps {
			return nil, fmt.Errorf("the ledger has step %d of a job of %d steps: it is of another recipe", row.GetStep(), steps)
		}
		rec.rows = append(rec.rows, &api.LedgerRow{ // without who and when: there may be many
			Step: row.Step, Evaluation: row.Evaluation, Epoch: row.Epoch, Chain: row.Chain,
			GradientDigest: row.GradientDigest, StateDigest: row.StateDigest,
			LossSum: row.LossSum, Correct: row.Correct, Top5: row.Top5, Examples: row.Examples,
		})
	}
	return rec, nil
}

// begin is a state to begin with.
type begin struct {
	state *optim.State
	step  int
}

// start finds the latest state that is not beyond a step.
func (r Run) start(ctx context.Context, rec *record, initial *optim.State, step int, note func(string)) (begin, error) {
	for {
		best := State{}
		for _, s := range r.States {
			if s.Step > best.Step && s.Step <= step {
				best = s
			}
		}
		if best.Step == 0 {
			return begin{initial, 0}, nil
		}
		s, err := r.read(ctx, rec, best)
		if err == nil {
			return begin{s, best.Step}, nil
		}
		if ctx.Err() != nil {
			return begin{}, ctx.Err()
		}
		note(fmt.Sprintf("%v; going on with an earlier state", err))
		step = best.Step - 1
	}
}

// read reads a state and compares it with the record.
func (r Run) read(ctx context.Context, rec *record, of State) (*optim.State, error) {
	path, err := of.File(ctx)
	if err != nil {
		return nil, fmt.Errorf("state %d: %w", of.Step, err)
	}
	s, about, err := checkpoint.Read(path, optim.FromJob(r.Recipe.Optimizer))
	if err != nil {
		return nil, err
	}
	due := rec.digest(of.Step)
	switch {
	case about.Recipe.Hash() != r.Recipe.Hash() || about.Step != of.Step || about.Chain != rec.chain(of.Step):
		err = fmt.Errorf("checkpoint %s is of another run", path)
	case !due.IsZero() && due != about.Digest:
		err = fmt.Errorf("checkpoint %s holds a state of digest %s, the ledger says %s", path, about.Digest, due)
	}
	return s, err
}

// digest is that of state t, as the row of the step behind it says; zero where none
// is due.
func (r *record) digest(t int) (sum digest.Sum) {
	if t < len(r.rows) {
		sum, _ = digest.FromBytes(r.rows[t].GetStateDigest())
	}
	return sum
}

// replay computes the report's steps and fills the report in.
func (r Run) replay(ctx context.Context, rec *record, from begin, report *Report, o Options) (err error) {
	life, end := context.WithCancelCause(ctx)
	set, lazy, err := r.Data(life, end)
	if err != nil {
		end(nil)
		return fmt.Errorf("data set %s: %w", r.Recipe.Data.Name, err)
	}
	defer func() {
		end(nil)
		if lazy != nil {
			lazy.Wait()
		}
	}()
	m, err := newMachine(state.NewJob("", r.Recipe), from, rec.chain(from.step), set, lazy, o.Pool)
	if err != nil {
		return err
	}
	defer m.computer.Stop() // before the data's life ends
	for t := from.step; t < report.To; t++ {
		row := m.compute()
		if err := context.Cause(life); err != nil { // a lazy set's examples may be none
			return fmt.Errorf("step %d: %w", t, err)
		}
		computed := ledgerRow(row, r.Recipe.Sequence().At(t))
		if report.First = differenceOf(t, compare(rec.rows[t], computed)); report.First != nil {
			return nil
		}
		m.apply(row)
		if t >= report.From {
			report.Verified++
		}
		if report.First = r.compareState(rec, t+1, m.keeper.Digest()); report.First != nil {
			return nil
		}
		o.Progress(t+1-from.step, report.To-from.step)
	}
	return nil
}

// compareState compares state t with what is recorded of it, in the ledger's next
// row or elsewhere.
func (r Run) compareState(rec *record, t int, computed digest.Sum) *Difference {
	for _, recorded := range []digest.Sum{rec.digest(t), r.Digests[t]} {
		if !recorded.IsZero() && !computed.IsZero() && recorded != computed {
			return &Difference{Step: t, Field: Field{stateDigest, recorded.String(), computed.String()}}
		}
	}
	return nil
}
