package worker

import (
	"slices"

	"convoy/api"
	"convoy/bus"
	"convoy/digest"
	"convoy/job"
	"convoy/state"
	"convoy/tree"
)

// results are the nodes computed for one step. They are kept until the step's
// gradient has been applied, since the bus may lose them or the leader change.
type results struct {
	step  int
	done  []*result
	extra []tree.Node // wanted beyond the plan
	// copies are nodes wanted as a whole, to be compared with another worker's.
	copies []tree.Node
}

type result struct {
	Computed
	term uint64 // of the leader it was sent to; 0: to none yet
	next int    // chunk to send
	have int    // chunks that the leader has acknowledged
	gone bool   // sent and not kept, see Rules
}

// begin forgets the results of other steps.
func (r *results) begin(step int) { *r = results{step: step} }

func (r *results) add(c Computed) {
	r.done = append(r.done, &result{Computed: c})
	if slices.Contains(r.copies, c.Node) {
		r.first(func(d *result) bool { return d.Node == c.Node })
	}
}

// due returns the nodes of [low, high), and of what was wanted, that are not
// done and have examples; those of units of micro-batches.
func (r *results) due(seq job.Sequence, low, high, unit int) []tree.Node {
	open := make([]bool, seq.MicroBatches)
	for i := range open {
		open[i] = i >= low && i < high
	}
	for _, n := range r.extra {
		for i := n.Low; i < n.High; i++ {
			open[i] = true
		}
	}
	for i := range open { // whole units, whatever was asked for
		open[i] = open[i] || slices.Contains(open[i/unit*unit:(i/unit+1)*unit], true)
	}
	for _, d := range r.done {
		for i := d.Node.Low; i < d.Node.High; i++ {
			open[i] = false
		}
	}
	var nodes []tree.Node
	for i := 0; i < len(open); {
		j := i
		for j < len(open) && open[j] {
			j++
		}
		for _, n := range tree.Cover(i, j) {
			if state.Examples(seq, r.step, n.Low, n.High) > 0 {
				nodes = append(nodes, n)
			}
		}
		i = max(j, i+1)
	}
	for _, n := range r.copies {
		if r.result(n) == nil && !slices.Contains(nodes, n) && state.Examples(seq, r.step, n.Low, n.High) > 0 {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// result is that of a node as a whole, nil where there is none.
func (r *results) result(n tree.Node) *result {
	i := slices.IndexFunc(r.done, func(d *result) bool { return d.Node == n })
	if i < 0 {
		return nil
	}
	return r.done[i]
}

// copy has a node computed as a whole, or sent again where that is done.
func (r *results) copy(n tree.Node) {
	if r.result(n) != nil {
		r.first(func(d *result) bool { return d.Node == n })
	} else if !slices.Contains(r.copies, n) {
		r.copies = append(r.copies, n)
	}
}

// again marks what overlaps [low, high) as not sent; what is missing of it will be
// computed.
func (r *results) again(low, high int) {
	r.first(func(d *result) bool { return d.Node.Low < high && low < d.Node.High })
	r.extra = append(r.extra, tree.Node{Low: low, High: high})
}

// first marks results as not sent, and puts them before those that wait for
// credits.
func (r *results) first(are func(*result) bool) {
	var first, rest []*result
	for _, d := range r.done {
		if are(d) {
			d.term = 0
			first = append(first, d)
		} else {
			rest = append(rest, d)
		}
	}
	r.done = append(first, rest...)
}

// credit notes how much of a node the leader has.
func (r *results) credit(c *api.Credit) {
	for _, d := range r.done {
		if d.Step == int(c.Step) && d.Node == (tree.Node{Low: int(c.Low), High: int(c.High)}) {
			d.have = max(d.have, int(c.Chunks))
		}
	}
}

// flush sends the leader that the plan names what it has not been sent, one
// node after the other, a window of chunks ahead of its acknowledgements.
func (r *results) flush(m *Machine) {
	if m.plan.leader == "" || m.keeper == nil || r.step != m.keeper.Step() {
		return
	}
	for _, d := range r.done {
		if d.gone {
			continue
		}
		if d.term != m.term {
			d.term, d.next, d.have = m.term, 0, 0
		}
		chunks := max(1, state.Chunks(len(d.Data), m.cfg.ChunkFloats))
		for ; d.next < chunks; d.next++ {
			if d.next >= d.have+window {
				return
			}
			m.sendChunk(d, chunks)
		}
		d.gone = m.cfg.Rules.DropResults
	}
}

func (m *Machine) sendChunk(d *result, chunks int) {
	low, high := state.Chunk(len(d.Data), chunks, d.next)
	part := d.Data[low:high]
	chain := m.keeper.Chain()
	m.send(bus.ReplicaIn(m.cfg.Cluster, m.plan.leader), &api.Envelope{Body: &api.Envelope_Partial{Partial: &api.Partial{
		RecipeHash: m.job.Hash[:], Step: uint64(d.Step), Chain: chain[:],
		Low: uint32(d.Node.Low), High: uint32(d.Node.High),
		Chunk: uint32(d.next), Chunks: uint32(chunks),
		LossSum: d.Sums.Loss, Correct: uint32(d.Sums.Correct), Top5: uint32(d.Sums.Top5), Examples: uint32(d.Sums.Examples),
		Checksum: digest.Chunk(part),
	}}}, part)
}
