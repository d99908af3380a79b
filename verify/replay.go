package verify

import (
	"convoy/api"
	"convoy/compute"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
	"convoy/kernels"
	"convoy/models"
	"convoy/state"
	"convoy/tree"
)

// machine is a cluster of one: the worker that computes all micro-batches, and the
// replica that makes the gradient of their sum and applies it.
type machine struct {
	computer *compute.Computer
	keeper   *state.Keeper
	root     tree.Node
	grad     []float32
}

func newMachine(j *state.Job, from begin, chain digest.Sum, set *data.Set, lazy *data.Lazy, pool *kernels.Pool) (*machine, error) {
	net, err := models.ForRecipe(j.Recipe)
	if err != nil {
		return nil, err
	}
	computer, err := compute.New(j, net, set, lazy, pool)
	if err != nil {
		return nil, err
	}
	keeper := state.NewKeeper(j, from.state, from.step, chain)
	keeper.Share(pool)
	return &machine{
		computer: computer, keeper: keeper,
		root: tree.Node{Low: 0, High: j.Recipe.MicroBatches}, grad: make([]float32, net.NumParams()),
	}, nil
}

// compute computes the step that comes next and returns the row that closes it.
func (m *machine) compute() *api.StepRow {
	t, params := m.keeper.Step(), m.keeper.State().Params
	m.computer.Plan(t, []tree.Node{m.root})
	sums := m.computer.Node(params, t, m.root, m.grad)
	if m.keeper.GradientLen(t) == 0 {
		return m.keeper.NewRow(nil, sums)
	}
	row, _ := m.keeper.Mean(m.grad, m.grad, sums) // one that is not finite is in no record
	return row
}

// apply takes the step that compute returned the row of.
func (m *machine) apply(row *api.StepRow) {
	m.keeper.Apply(&state.Gradient{Row: row, Data: m.grad[:m.keeper.GradientLen(m.keeper.Step())]})
	m.keeper.Committed(m.keeper.Step()) // nobody waits for the rows
}

// ledgerRow is a computed row as the ledger would have it, without who and when.
func ledgerRow(r *api.StepRow, step job.Step) *api.LedgerRow {
	return &api.LedgerRow{
		Step: r.Step, Evaluation: step.Evaluation, Epoch: uint32(step.Epoch) + 1,
		Chain: r.ChainNext, GradientDigest: r.GradientDigest, StateDigest: r.StateDigest,
		LossSum: r.LossSum, Correct: r.Correct, Top5: r.Top5, Examples: r.Examples,
	}
}
