package chaos

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"convoy/api"
)

// Report is what came of it. Its JSON is what `coordinator chaos -o json` prints.
type Report struct {
	Passed          bool     `json:"passed"`
	Problems        []string `json:"problems"` // why not
	ReferenceDigest string   `json:"reference_digest"`
	Digest          string   `json:"digest"`
	Equal           bool     `json:"equal"` // the digests, and the chain after every step
	// FirstDifference is the first step whose gradient differs; null without one.
	FirstDifference *uint64 `json:"first_difference"`
	Steps           uint64  `json:"steps"`      // of the sequence, evaluations included
	StepsLost       int     `json:"steps_lost"` // missing from the ledger, or in it twice
	Seed            uint64  `json:"seed"`
	Replicas        int     `json:"replicas"`
	Workers         int     `json:"workers"`
	Threads         int     `json:"threads"` // of each worker

	Faults map[Kind]int `json:"faults"` // that struck while the job ran
	// Recovery is the longest time without a published step among the first three
	// after a fault, seen on the links between the coordinators and NATS. Where a
	// fault lasts, that is part of it.
	RecoveryP50MS float64           `json:"recovery_p50_ms"`
	RecoveryP99MS float64           `json:"recovery_p99_ms"`
	Recovery      map[Kind]Recovery `json:"recovery"`
	StepMS        float64           `json:"step_ms"` // median time of a step of the reference run

	ReferenceSeconds float64 `json:"reference_seconds"` // of the job
	Seconds          float64 `json:"seconds"`
	Reassigned       int     `json:"reassigned"` // steps whose blocks were shared out otherwise than the step's before
	Timeline         []Event `json:"timeline"`

	Logs string `json:"logs,omitempty"` // the folder of all processes, where it was kept
}

// Recovery is that of one kind of fault.
type Recovery struct {
	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
	MaxMS float64 `json:"max_ms"`
}

// Event is one fault.
type Event struct {
	AtMS       float64 `json:"at_ms"` // since the job was handed in
	Step       int     `json:"step"`  // steps published before
	Kind       Kind    `json:"kind"`
	Target     string  `json:"target"`
	RecoveryMS float64 `json:"recovery_ms"`
}

func newReport(o Options) Report {
	r := Report{
		Seed: o.Seed, Replicas: o.Cluster.Replicas, Workers: o.Cluster.Workers, Threads: max(o.Cluster.Threads, 1),
		Problems: []string{}, Faults: map[Kind]int{}, Recovery: map[Kind]Recovery{}, Timeline: []Event{},
	}
	for _, k := range o.Kinds {
		r.Faults[k] = 0
	}
	return r
}

// reference notes how the undisturbed run went.
func (r *Report) reference(o outcome) {
	r.ReferenceDigest, r.Steps = o.status.GetDigest(), o.status.GetSteps()
	r.ReferenceSeconds, r.StepMS = seconds(o.status), ms(o.marks.typical())
}

func seconds(s *api.JobStatus) float64 {
	return float64(s.GetEndedUnixNanos()-s.GetStartedUnixNanos()) / 1e9
}

func (r *Report) add(e Event) {
	r.Faults[e.Kind]++
	r.Timeline = append(r.Timeline, e)
}

// judge compares the runs and finds what is wrong.
func (r *Report) judge(o Options, got, reference outcome) {
	r.Digest, r.Seconds = got.status.GetDigest(), seconds(got.status)
	r.FirstDifference = firstDifference(got.rows, reference.rows)
	r.Equal = r.Digest == r.ReferenceDigest && r.FirstDifference == nil
	r.StepsLost = lost(got.rows, r.Steps)
	r.Reassigned = reassigned(got.rows)
	r.figures()
	if r.Digest == "" || !r.Equal {
		r.problem("the digest is %q, without faults %q", r.Digest, r.ReferenceDigest)
	}
	if r.FirstDifference != nil {
		r.problem("step %d is the first that differs: see `coordinator job diff`", *r.FirstDifference)
	}
	if r.StepsLost > 0 {
		r.problem("%d of %d steps are missing from the ledger or in it twice", r.StepsLost, r.Steps)
	}
	var short []string
	for _, k := range o.Kinds {
		if r.Faults[k] < o.Times {
			short = append(short, fmt.Sprintf("%s (%d of %d)", k, r.Faults[k], o.Times))
		}
	}
	if len(short) > 0 {
		r.problem("the job was too short for %s: it has %d steps, give it about %d", strings.Join(short, ", "), r.Steps, r.wanted(o))
	}
	r.Passed = len(r.Problems) == 0
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// wanted is how many steps the job would have needed, going by those that struck:
// twice as many for each fault as it took here.
func (r *Report) wanted(o Options) uint64 {
	struck := len(r.Timeline)
	return 2 * r.Steps * uint64(o.Times*len(o.Kinds)) / uint64(max(struck, 1))
}

// figures computes the quantiles of the timeline.
func (r *Report) figures() {
	var all []time.Duration
	byKind := map[Kind][]time.Duration{}
	for _, e := range r.Timeline {
		d := time.Duration(e.RecoveryMS * float64(time.Millisecond))
		all = append(all, d)
		byKind[e.Kind] = append(byKind[e.Kind], d)
	}
	r.RecoveryP50MS, r.RecoveryP99MS = ms(quantile(all, 0.5)), ms(quantile(all, 0.99))
	for kind, list := range byKind {
		r.Recovery[kind] = Recovery{P50MS: ms(quantile(list, 0.5)), P99MS: ms(quantile(list, 0.99)), MaxMS: ms(quantile(list, 1))}
	}
}

// firstDifference is the first step after which the chains differ, or that only
// one of the ledgers has; nil without one.
func firstDifference(a, b []*api.LedgerRow) *uint64 {
	chains := func(rows []*api.LedgerRow) (map[uint64][]byte, uint64) {
		m, end := map[uint64][]byte{}, uint64(0)
		for _, row := range rows {
			m[row.GetStep()] = row.GetChain()
			end = max(end, row.GetStep()+1)
		}
		return m, end
	}
	ours, endA := chains(a)
	theirs, endB := chains(b)
	for step := range max(endA, endB) {
		if !bytes.Equal(ours[step], theirs[step]) {
			return &step
		}
	}
	return nil
}

// lost counts the steps below steps that rows lack, and rows that are there twice
// or beyond.
func lost(rows []*api.LedgerRow, steps uint64) int {
	seen := map[uint64]bool{}
	n := 0
	for _, row := range rows {
		if seen[row.GetStep()] || row.GetStep() >= steps {
			n++
		}
		seen[row.GetStep()] = true
	}
	for step := range steps {
		if !seen[step] {
			n++
		}
	}
	return n
}

// reassigned counts the steps that were shared out otherwise than the one before
// of their kind.
func reassigned(rows []*api.LedgerRow) int {
	n := 0
	before := map[bool]string{}
	for _, row := range rows {
		shares := sharesOf(row)
		if last, any := before[row.GetEvaluation()]; any && last != shares {
			n++
		}
		before[row.GetEvaluation()] = shares
	}
	return n
}

func sharesOf(row *api.LedgerRow) string {
	var list []string
	for _, s := range row.GetShares() {
		worker := "?"
		if int(s.GetWorker()) < len(row.GetWorkers()) {
			worker = row.GetWorkers()[s.GetWorker()]
		}
		list = append(list, fmt.Sprintf("%03d-%03d %s", s.GetLow(), s.GetHigh(), worker))
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// quantile is the smallest of the values that at least a share q of them does not
// exceed (nearest rank); 0 of none.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(int(math.Ceil(q*float64(len(sorted)))), 1)-1]
}

// ms is a time in milliseconds, to a tenth.
func ms(d time.Duration) float64 { return math.Round(float64(d)/1e5) / 10 }
