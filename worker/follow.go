package worker

import (
	"bytes"
	"errors"

	"convoy/api"
	"convoy/bus"
	"convoy/digest"
	"convoy/state"
)

func (m *Machine) fetchedGradient(ev FetchedGradient) {
	if ev.Job != m.jobID {
		return
	}
	m.fetching = false
	if ev.Err != nil {
		m.fetchState() // the replicas no longer have it
	} else if m.keeper != nil {
		m.keeper.AddGradient(ev.Gradient)
	}
}

// apply moves on as far as the gradients that are here allow.
func (m *Machine) apply() {
	for {
		g, err := m.keeper.Next()
		switch {
		case errors.Is(err, state.ErrStateDiffers):
			m.differs++
			m.note("job %s step %d: %v; fetching the state", m.jobID, m.keeper.Step(), err)
			if m.differs > 1 {
				m.problem = "its state differed from the leader's twice: test this machine's memory, then start the worker again"
			}
			m.anew = true
			m.fetchState()
			return
		case err != nil:
			m.note("job %s: %v; fetching it again", m.jobID, err)
			return
		case g == nil:
			return
		}
		m.keeper.Apply(g)
		m.keeper.Committed(m.keeper.Step()) // a worker answers for no rows
	}
}

func (m *Machine) gradientChunk(msg bus.Message, c *api.Gradient) {
	count, err := m.keeper.AddChunk(c, msg.Data)
	if err != nil {
		m.note("job %s: dropped a chunk from %s: %v", m.jobID, msg.From, err)
		return
	}
	if count > 0 && count%creditEvery == 0 {
		m.send(bus.ReplicaIn(m.cfg.Cluster, msg.From), &api.Envelope{Body: &api.Envelope_Credit{
			Credit: &api.Credit{Step: c.Step, Chunks: uint32(count)},
		}}, nil)
	}
}

// located follows a cluster whose terms have begun anew, and which this worker
// would otherwise take for an old leader for ever.
func (m *Machine) located(r *api.HeldResponse) {
	if r.Leader != "" && r.Term < m.term && m.now-m.heardAt >= locateAfter {
		m.note("%s leads in term %d, which is before the last one heard of: following it", r.Leader, r.Term)
		m.term, m.plan = r.Term, standing{}
	}
}

// headed compares where the leader is with where this worker is.
func (m *Machine) headed(term uint64, h *api.Head) {
	if term < m.term || !bytes.Equal(h.RecipeHash, m.job.Hash[:]) {
		return
	}
	m.heardAt, m.headStep = m.now, int(h.Step)
	if chain := m.keeper.Chain(); m.headStep == m.keeper.Step() && !bytes.Equal(h.Chain, chain[:]) && len(m.computing) == 0 {
		m.note("job %s step %d: the leader's state is another; fetching it", m.jobID, m.headStep)
		m.anew = true
		m.fetchState()
		return
	}
	if m.headStep < m.keeper.Step() && m.now-m.offeredAt > offerEvery {
		m.offeredAt = m.now
		m.offer(h.Leader)
	}
}

// offer hands the gradient applied last to a leader that took over before it
// had it. It is the gradient, whoever made it, so the step need not be redone.
func (m *Machine) offer(leader string) {
	g := m.keeper.Last()
	if m.cfg.Rules.DropGradient {
		g = nil
	}
	if g == nil || g.Step() != m.headStep || len(m.computing) > 0 {
		if len(m.computing) == 0 {
			m.anew = true // too far ahead to help: go back to where the leader is
			m.fetchState()
		}
		return
	}
	to := bus.ReplicaIn(m.cfg.Cluster, leader)
	for i := range int(g.Row.Chunks) {
		low, high := state.Chunk(len(g.Data), int(g.Row.Chunks), i)
		part := g.Data[low:high]
		m.send(to, &api.Envelope{Body: &api.Envelope_Gradient{Gradient: &api.Gradient{
			RecipeHash: g.Row.RecipeHash, Step: g.Row.Step, Chunk: uint32(i), Chunks: g.Row.Chunks, Checksum: digest.Chunk(part),
		}}}, part)
	}
	m.send(to, &api.Envelope{Body: &api.Envelope_Row{Row: g.Row}}, nil)
}

// repairIfBehind fetches what the leader has published and the bus lost.
func (m *Machine) repairIfBehind() {
	t := m.keeper.Step()
	switch {
	case m.fetching || m.headStep <= t:
		m.behindAt = 0
	case m.behindAt == 0 || m.behindStep != t:
		m.behindAt, m.behindStep = m.now, t
	case m.now-m.behindAt > repairAfter && m.headStep == t+1:
		m.fetching = true
		m.do(FetchGradient{m.jobID, t})
	case m.now-m.behindAt > repairAfter:
		m.fetchState()
	}
}

func (m *Machine) fetchState() {
	if m.keeper != nil && !m.fetching {
		m.fetching = true
		m.do(FetchState{m.jobID})
	}
}
