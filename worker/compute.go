package worker

import "context"

// work computes nodes and then, while the leader finishes the step, prepares what
// the same plan asks for in the next one.
func (a *assignment) work(ctx context.Context, c Compute, post func(Event)) {
	a.working.Lock()
	defer a.working.Unlock()
	a.computer.Plan(c.Step, c.Nodes)
	a.compute(ctx, c, post)
	post(Idle{})
	if ctx.Err() != nil {
		a.computer.Stop()
		return
	}
	a.computer.Rest()
}

// compute computes the nodes one after the other and posts each. A result has
// memory of its own: the bus and the leader share it.
func (a *assignment) compute(ctx context.Context, c Compute, post func(Event)) {
	for _, n := range c.Nodes {
		if ctx.Err() != nil {
			return
		}
		done := Computed{Step: c.Step, Node: n}
		if !a.job.Sequence.At(c.Step).Evaluation {
			done.Data = make([]float32, a.net.NumParams())
		}
		done.Sums = a.computer.Node(c.State.Params, c.Step, n, done.Data)
		if ctx.Err() != nil {
			return // a lazy set's examples may be none
		}
		post(done)
	}
}
