package state

import (
	"bytes"
	"errors"
	"fmt"

	"convoy/api"
	"convoy/digest"
	"convoy/job"
	"convoy/optim"
)

// MaxAhead is how many gradients beyond the next one are buffered while a state
// is being fetched or a chunk repaired. A process further behind fetches anew.
const MaxAhead = 8

// ErrStateDiffers says that a row goes on from another state than ours: one of
// the two machines computes wrongly, or holds the state of another run.
var ErrStateDiffers = errors.New("the state differs from the leader's")

// Gradient is the gradient of one step with the row that closes it. Neither is
// written to after it was made.
type Gradient struct {
	Row  *api.StepRow
	Data []float32
}

// Step is the step whose gradient it is.
func (g *Gradient) Step() int { return int(g.Row.Step) }

// Keeper holds state t of a job and what is needed to get to t+1.
type Keeper struct {
	job    *Job
	hands  *optim.Updater
	state  *optim.State
	step   int
	chain  digest.Sum
	digest digest.Sum // of the state, where it is due; else zero

	incoming map[int]*incoming
	last     *Gradient      // of step−1, to help others with
	rows     []*api.StepRow // of the steps before step that are not committed, in order
}

type incoming struct {
	row  *api.StepRow
	data *Assembly
}

// NewKeeper starts from a state, which it owns from then on: the initial one, a
// checkpoint's, or one fetched from a replica.
func NewKeeper(j *Job, s *optim.State, step int, chain digest.Sum) *Keeper {
	k := &Keeper{job: j, hands: optim.NewUpdater(nil), incoming: map[int]*incoming{}}
	k.Adopt(s, step, chain, nil)
	return k
}

// Share has r share the arithmetic on whole states and gradients out from now
// on; the bits do not change. The keeper is r's only caller while it does
// something.
func (k *Keeper) Share(r optim.Runner) { k.hands = optim.NewUpdater(r) }

// Adopt replaces the state by a later one that was fetched. Gradients that
// arrived meanwhile are kept.
func (k *Keeper) Adopt(s *optim.State, step int, chain digest.Sum, rows []*api.StepRow) {
	k.state, k.step, k.chain, k.last, k.rows = s, step, chain, nil, rows
	k.noteDigest()
	k.forget()
}

// Job is the job whose state it keeps.
func (k *Keeper) Job() *Job { return k.job }

// Step is t: the number of steps that the state has behind it.
func (k *Keeper) Step() int { return k.step }

// Chain is c(t).
func (k *Keeper) Chain() digest.Sum { return k.chain }

// Digest is the digest of the state where it is due, else zero.
func (k *Keeper) Digest() digest.Sum { return k.digest }

// State is the state itself; the caller reads it, and not while Apply runs.
func (k *Keeper) State() *optim.State { return k.state }

// Last is the gradient of step t−1, nil if it is not known.
func (k *Keeper) Last() *Gradient { return k.last }

// Rows are the rows of the steps before t that are not committed, in order.
func (k *Keeper) Rows() []*api.StepRow { return k.rows }

// Committed lets go of the rows of the steps below n.
func (k *Keeper) Committed(n int) {
	for len(k.rows) > 0 && int(k.rows[0].Step) < n {
		k.rows = k.rows[1:]
	}
}

// GradientLen is the number of floats in the gradient of step t: none for an
// evaluation.
func (k *Keeper) GradientLen(t int) int {
	if k.job.Sequence.At(t).Evaluation {
		return 0
	}
	return len(k.state.Params)
}

// AddChunk takes a chunk of a gradient off the stream and returns how many of
// the step's chunks are there. What is of no use (old, or far ahead) is dropped.
func (k *Keeper) AddChunk(c *api.Gradient, data []float32) (count int, err error) {
	if !bytes.Equal(c.RecipeHash, k.job.Hash[:]) || !k.wanted(c.Step) {
		return 0, nil
	}
	if c.Chunks < 1 || c.Chunks > MaxChunks {
		return 0, fmt.Errorf("gradient %d comes in %d chunks", c.Step, c.Chunks)
	}
	in := k.at(int(c.Step))
	if in.data == nil || in.data.Chunks() != int(c.Chunks) {
		in.data = NewAssembly(int(c.Chunks)) // another sender cuts otherwise: begin anew
	}
	if _, err := in.data.Add(k.GradientLen(int(c.Step)), int(c.Chunks), int(c.Chunk), data); err != nil {
		return 0, fmt.Errorf("gradient %d: %w", c.Step, err)
	}
	return in.data.Count(), nil
}

// AddRow takes a row off the stream.
func (k *Keeper) AddRow(r *api.StepRow) {
	if bytes.Equal(r.RecipeHash, k.job.Hash[:]) && k.wanted(r.Step) {
		k.at(int(r.Step)).row = r
	}
}

// AddGradient takes a whole gradient that was fetched.
func (k *Keeper) AddGradient(g *Gradient) {
	k.AddRow(g.Row)
	if !bytes.Equal(g.Row.RecipeHash, k.job.Hash[:]) || !k.wanted(g.Row.Step) || len(g.Data) != k.GradientLen(g.Step()) {
		return
	}
	whole := NewAssembly(1)
	if _, err := whole.Add(len(g.Data), 1, 0, g.Data); err == nil {
		k.at(g.Step()).data = whole
	}
}

func (k *Keeper) wanted(t uint64) bool {
	return t >= uint64(k.step) && t <= uint64(k.step+MaxAhead) && t < uint64(k.job.Sequence.Len())
}

func (k *Keeper) at(t int) *incoming {
	in := k.incoming[t]
	if in == nil {
		in = &incoming{}
		k.incoming[t] = in
	}
	return in
}

// Next returns the gradient of step t once it is there whole and fits: c(t) and
// the state's digest are ours, and the digests are those of the data. One that
// does not fit is dropped with an error, and comes again by repair.
func (k *Keeper) Next() (*Gradient, error) {
	in := k.incoming[k.step]
	if in == nil || in.row == nil {
		return nil, nil
	}
	g := &Gradient{Row: in.row}
	if k.GradientLen(k.step) > 0 {
		if in.data == nil || !in.data.Complete() {
			return nil, nil
		}
		g.Data = in.data.Data()
	}
	if err := k.check(g); err != nil {
		delete(k.incoming, k.step)
		return nil, fmt.Errorf("gradient %d: %w", k.step, err)
	}
	return g, nil
}

func (k *Keeper) check(g *Gradient) error {
	r := g.Row
	sum, clip := k.hands.Gradient(k.job.SGD, g.Data, sumsOf(r))
	next := digest.Next(k.chain, sum)
	switch {
	case !bytes.Equal(r.Chain, k.chain[:]):
		return fmt.Errorf("%w: its chain is %.8x, ours %.8x", ErrStateDiffers, r.Chain, k.chain[:])
	case !bytes.Equal(r.GradientDigest, sum[:]):
		return fmt.Errorf("its digest is %x, its row says %x", sum, r.GradientDigest)
	case !bytes.Equal(r.ChainNext, next[:]):
		return fmt.Errorf("its row's next chain %.8x should be %.8x", r.ChainNext, next[:])
	case len(r.StateDigest) > 0 && !k.digest.IsZero() && !bytes.Equal(r.StateDigest, k.digest[:]):
		return fmt.Errorf("%w: ours is %s, the leader's %x", ErrStateDiffers, k.digest, r.StateDigest)
	}
	return k.checkRow(r, clip, len(g.Data))
}

// checkRow compares what no digest covers with the recipe and the gradient, of
// which everybody finds the same clip factor: it comes from outside, and is used
// as it is.
func (k *Keeper) checkRow(r *api.StepRow, clip float32, floats int) error {
	m := uint32(k.job.Recipe.MicroBatches)
	examples, lr := k.job.Sequence.At(k.step).Examples, k.job.Recipe.LearningRate(k.step)
	switch {
	case r.LearningRate != lr || r.ClipFactor != clip:
		return fmt.Errorf("its row has learning rate %g and clip factor %g, want %g and %g", r.LearningRate, r.ClipFactor, lr, clip)
	case int(r.Examples) != examples || r.Correct > r.Top5 || r.Top5 > r.Examples:
		return fmt.Errorf("its row has %d and, within the top 5, %d of %d examples correct, the step has %d", r.Correct, r.Top5, r.Examples, examples)
	case int64(r.Chunks) > int64(floats) || (r.Chunks == 0) != (floats == 0):
		return fmt.Errorf("its row has %d chunks for %d floats", r.Chunks, floats)
	}
	for _, s := range r.Shares {
		if int64(s.Worker) >= int64(len(r.Workers)) || s.Low >= s.High || s.High > m {
			return fmt.Errorf("its row gives micro-batches [%d,%d) to worker %d of %d", s.Low, s.High, s.Worker, len(r.Workers))
		}
	}
	return nil
}

// Apply moves from state t to t+1 by a gradient that Next returned or that the
// caller made itself.
func (k *Keeper) Apply(g *Gradient) {
	if g.Step() != k.step {
		panic(fmt.Sprintf("state: gradient %d applied to state %d", g.Step(), k.step))
	}
	evaluated := k.job.Sequence.At(k.step).Evaluation
	k.step++
	k.chain = digest.Sum(g.Row.ChainNext)
	k.last = g
	k.rows = append(k.rows, g.Row)
	switch due := k.job.Sequence.DigestDue(k.step); {
	case len(g.Data) > 0:
		k.digest = k.hands.Apply(k.state, k.job.SGD, g.Data, g.Row.LearningRate, g.Row.ClipFactor, due)
	case !evaluated: // an evaluation leaves the state and its digest as they are
		k.noteDigest()
	}
	k.forget()
}

func (k *Keeper) noteDigest() {
	k.digest = digest.Sum{}
	if k.job.Sequence.DigestDue(k.step) {
		k.digest = k.hands.Digest(k.state)
	}
}

func (k *Keeper) forget() {
	for t := range k.incoming {
		if t < k.step {
			delete(k.incoming, t)
		}
	}
}

// NewRow closes a gradient from state t, or an evaluation, which has none.
func (k *Keeper) NewRow(data []float32, sums Sums) *api.StepRow {
	g, clip := k.hands.Gradient(k.job.SGD, data, sums)
	return k.row(g, clip, sums)
}

// Mean divides the sum of the gradients from state t by the number of examples into
// mean, which may be sum, rounds it to the wire's format, and closes the gradient
// that it is then. finite is whether all of it is.
func (k *Keeper) Mean(mean, sum []float32, sums Sums) (row *api.StepRow, finite bool) {
	g, clip, finite := k.hands.Mean(k.job.SGD, k.job.Recipe.Rounds(), mean, sum, sums)
	return k.row(g, clip, sums), finite
}

func (k *Keeper) row(sum digest.Gradient, clip float32, sums Sums) *api.StepRow {
	next := digest.Next(k.chain, sum)
	row := &api.StepRow{
		RecipeHash: k.job.Hash[:], Step: uint64(k.step),
		Chain: bytes.Clone(k.chain[:]), ChainNext: next[:], GradientDigest: sum[:],
		LossSum: sums.Loss, Correct: uint32(sums.Correct), Top5: uint32(sums.Top5), Examples: uint32(sums.Examples),
		LearningRate: k.job.Recipe.LearningRate(k.step), ClipFactor: clip,
	}
	if !k.digest.IsZero() {
		row.StateDigest = bytes.Clone(k.digest[:])
	}
	return row
}

// Sums are what goes through the tree beside a gradient.
type Sums = digest.Sums

func sumsOf(r *api.StepRow) Sums {
	return Sums{Loss: r.LossSum, Correct: int(r.Correct), Top5: int(r.Top5), Examples: int(r.Examples)}
}

// Examples is how many examples micro-batches [low, high) of step t have.
func Examples(s job.Sequence, t, low, high int) int {
	first, _ := s.Positions(t, low)
	_, last := s.Positions(t, high-1)
	return last - first
}
