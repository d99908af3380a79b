package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"convoy/api"
	"convoy/client"
	"convoy/cmd/internal/cli"
	"convoy/inspect"
)

// steps is the --steps flag: the steps [from, to) of a job; a to of −1 is the end
// of what there is.
type steps struct{ from, to int }

func (s *steps) flag(c *cobra.Command, usage string) {
	*s = steps{0, -1}
	c.Flags().Var(s, "steps", usage)
}

func (s *steps) String() string {
	if *s == (steps{0, -1}) {
		return ""
	}
	if s.to < 0 {
		return fmt.Sprintf("%d:", s.from)
	}
	return fmt.Sprintf("%d:%d", s.from, s.to)
}

func (s *steps) Type() string { return "A:B" }

func (s *steps) Set(text string) error {
	a, b, ranged := strings.Cut(text, ":")
	from, err := bound(a, 0)
	to, err2 := bound(b, -1)
	if !ranged {
		from, err = bound(a, -1)
		to, err2 = from+1, nil
	}
	if err != nil || err2 != nil || from < 0 || to >= 0 && to <= from {
		return fmt.Errorf("want A:B, the steps from A to B−1, such as 100:200; 100: for all from 100 on, :200 for those below 200, or 100 for that one")
	}
	*s = steps{from, to}
	return nil
}

// bound is one end of a range of steps, unset where it is left out.
func bound(text string, unset int) (int, error) {
	if text == "" {
		return unset, nil
	}
	n, err := strconv.ParseUint(text, 10, 40)
	return int(n), err
}

func ledgerCommand(r *remote) *cobra.Command {
	var o output
	var wanted steps
	var from uint64
	c := &cobra.Command{
		Use:   "ledger JOB|RUN",
		Short: "Print who computed what, step by step",
		Long: `Prints the ledger of a cluster's job or of a run's folder: one row for each
committed step with its loss, its place in the chain, when it was done, and which
worker computed which micro-batches; audited are blocks that a second one computed
too, with the same result. SECONDS counts from the job's start, of a folder
from its first step, to the instant at which the step's gradient went out; TOOK is
the time from that of the step before. Where a leader did not see it go out, both are
those of the record, which holds the steps of about a tenth of a second. With -o json
it is one JSON object a line.`,
		Example: `  coordinator job ledger lenet-relu-k3v9qa --from 700
  coordinator job ledger runs/lenet-relu-1 --steps 100:110 -o json`,
		Args: one("the id that submit printed (see `coordinator job list`), or a run's folder"),
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("from") {
				if c.Flags().Changed("steps") {
					return cli.Usagef("--from %d --steps %v: give one of them", from, &wanted)
				}
				wanted.from = int(min(from, 1<<40))
			}
			return r.ledgerOf(c.Context(), args[0], wanted, func(rows iter.Seq2[timedRow, error]) error {
				if o == jsonOutput {
					return ledgerJSON(c.OutOrStdout(), rows)
				}
				return printLedger(c.OutOrStdout(), rows)
			})
		},
	}
	wanted.flag(c, "steps to print, from A to B−1")
	c.Flags().Uint64Var(&from, "from", 0, "first step to print, as --steps A:")
	o.flag(c)
	return c
}

// ledgerOf calls do with some rows of a run's folder or of a cluster's job.
func (r *remote) ledgerOf(ctx context.Context, name string, wanted steps, do func(iter.Seq2[timedRow, error]) error) error {
	if onDisk(name) {
		rows, err := inspect.Rows(name)
		if err != nil {
			return cli.Usage(err)
		}
		return do(timed(rows, 0, wanted))
	}
	return r.with(func(cl *client.Client) error {
		s, err := cl.Status(ctx, name)
		if err != nil {
			return err
		}
		before := uint64(max(0, wanted.from-1)) // its time tells how long the first one took
		return do(timed(cl.Rows(ctx, name, before), s.GetStartedUnixNanos(), wanted))
	})
}

// timedRow is a row with what its time means.
type timedRow struct {
	*api.LedgerRow
	since float64  // seconds from the job's start
	took  *float64 // seconds from the step before, nil where that is not known
}

// done is when a step's gradient went out, else when it was recorded, in Unix
// nanoseconds.
func done(r *api.LedgerRow) int64 { return r.GetUnixNanos() - 1000*int64(r.GetPublishedUs()) }

// timed returns those of rows that are wanted. A start of 0, which is not known, is
// that of the first row.
func timed(rows iter.Seq2[*api.LedgerRow, error], start int64, wanted steps) iter.Seq2[timedRow, error] {
	return func(yield func(timedRow, error) bool) {
		var before *api.LedgerRow
		for row, err := range rows {
			if err != nil {
				yield(timedRow{}, err)
				return
			}
			if wanted.to >= 0 && row.GetStep() >= uint64(wanted.to) {
				return
			}
			if start == 0 {
				start = done(row)
			}
			t := timedRow{LedgerRow: row, since: seconds(done(row) - start)}
			switch {
			case row.GetStep() == 0:
				t.took = &t.since
			case before != nil:
				d := seconds(done(row) - done(before))
				t.took = &d
			}
			before = row
			if row.GetStep() >= uint64(wanted.from) && !yield(t, nil) {
				return
			}
		}
	}
}

// seconds are rounded to milliseconds.
func seconds(nanos int64) float64 { return time.Duration(nanos).Round(time.Millisecond).Seconds() }

type rowJSON struct {
	Step           uint64      `json:"step"`
	Evaluation     bool        `json:"evaluation"`
	Epoch          uint32      `json:"epoch"` // 1-based
	Chain          string      `json:"chain"` // after the step
	GradientDigest string      `json:"gradient_digest"`
	StateDigest    string      `json:"state_digest,omitempty"` // before the step, where due
	LossSum        float64     `json:"loss_sum"`
	Correct        uint32      `json:"correct"`
	Top5           uint32      `json:"top5"`
	Examples       uint32      `json:"examples"`
	Shares         []shareJSON `json:"shares"`
	Time           string      `json:"time"`                // of the record
	Published      string      `json:"published,omitempty"` // when the gradient went out
	Seconds        float64     `json:"seconds"`             // from the job's start, or a folder's first step, until then, else to the record
	Took           *float64    `json:"took"`                // seconds from the step before
	Audited        uint32      `json:"audited,omitempty"`   // blocks that a second worker computed too
	RecordChain    string      `json:"record_chain"`
}

// shareJSON is one partial: micro-batches [low, high) by a worker.
type shareJSON struct {
	Worker string `json:"worker"`
	Low    uint32 `json:"low"`
	High   uint32 `json:"high"`
}

func rowOf(r timedRow) rowJSON {
	j := rowJSON{
		Step: r.GetStep(), Evaluation: r.GetEvaluation(), Epoch: r.GetEpoch(),
		Chain: hex.EncodeToString(r.GetChain()), GradientDigest: hex.EncodeToString(r.GetGradientDigest()),
		StateDigest: hex.EncodeToString(r.GetStateDigest()),
		LossSum:     r.GetLossSum(), Correct: r.GetCorrect(), Top5: r.GetTop5(), Examples: r.GetExamples(),
		Shares: []shareJSON{}, Time: instant(r.GetUnixNanos()), Seconds: r.since, Took: r.took,
		Audited: r.GetAudited(), RecordChain: hex.EncodeToString(r.GetRecordChain()),
	}
	if r.GetPublishedUs() > 0 {
		j.Published = instant(done(r.LedgerRow))
	}
	for _, s := range r.GetShares() {
		worker := "?" // a row that points outside its own table
		if int(s.GetWorker()) < len(r.GetWorkers()) {
			worker = r.GetWorkers()[s.GetWorker()]
		}
		j.Shares = append(j.Shares, shareJSON{worker, s.GetLow(), s.GetHigh()})
	}
	return j
}

func ledgerJSON(w io.Writer, rows iter.Seq2[timedRow, error]) error {
	e := json.NewEncoder(w)
	for row, err := range rows {
		if err != nil {
			return err
		}
		if err := e.Encode(rowOf(row)); err != nil {
			return err
		}
	}
	return nil
}

// ledgerBlock is how many rows share the widths of their columns: a ledger may
// be long, and its first rows should not wait for the last.
const ledgerBlock = 256

func printLedger(w io.Writer, rows iter.Seq2[timedRow, error]) error {
	block := [][]string{{"STEP", "EPOCH", "LOSS", "EXAMPLES", "CHAIN", "STATE", "SECONDS", "TOOK", "WORKERS"}}
	for row, err := range rows {
		if err != nil {
			return err
		}
		block = append(block, ledgerCells(rowOf(row)))
		if len(block) == ledgerBlock {
			if err := table(w, block); err != nil {
				return err
			}
			block = nil
		}
	}
	return table(w, block)
}

func ledgerCells(r rowJSON) []string {
	step := fmt.Sprint(r.Step)
	if r.Evaluation {
		step += " test"
	}
	mean, took := "", ""
	if r.Examples > 0 {
		mean = fmt.Sprintf("%.4f", r.LossSum/float64(r.Examples))
	}
	if r.Took != nil {
		took = fmt.Sprintf("%.3f", *r.Took)
	}
	var who []string
	for _, s := range r.Shares {
		who = append(who, s.Worker+" "+span(s.Low, s.High))
	}
	if r.Audited > 0 {
		who = append(who, fmt.Sprintf("%d audited", r.Audited))
	}
	return []string{
		step, fmt.Sprint(r.Epoch), mean, fmt.Sprint(r.Examples), short(r.Chain), short(r.StateDigest),
		fmt.Sprintf("%.3f", r.Seconds), took, strings.Join(who, ", "),
	}
}
