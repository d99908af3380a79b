package ps

import (
	"convoy/api"
	"convoy/state"
)

// askIfQuiet finds out over gRPC where the leader is when the bus is silent, so
// that a replica without NATS still follows, if slowly.
func (m *Machine) askIfQuiet() {
	if m.quiet() && m.now-m.askedAt > retryAfter {
		m.askedAt = m.now
		m.do(AskHeld{Replicas: []string{m.leader}})
	}
}

func (m *Machine) held(r *api.HeldResponse) {
	if m.lead != nil {
		m.lead.held(r)
		return
	}
	if r.Replica == m.leader && r.Ready && m.keeper != nil {
		m.headStep = int(r.Step)
		m.acknowledge()
	}
}

// repairIfBehind fetches what the leader has published and the bus has not
// brought: the one gradient that is missing, or else the state.
func (m *Machine) repairIfBehind() {
	r, t := &m.repair, m.keeper.Step()
	switch {
	case r.inFlight || !m.running() || (m.headStep <= t && !r.differs):
		r.since = 0
	case r.since == 0 || r.step != t:
		r.since, r.step = m.now, t
	case m.now-r.since > repairAfter:
		m.fetch(m.leader, m.headStep)
	}
}

// fetch asks a replica that holds state target for what leads there.
func (m *Machine) fetch(from string, target int) {
	r := &m.repair
	r.inFlight, r.since = true, 0
	if r.gone || r.differs || target != m.keeper.Step()+1 {
		m.do(FetchState{From: from})
	} else {
		m.do(FetchGradient{From: from, Step: m.keeper.Step()})
	}
}

func (m *Machine) fetched(ev Event) {
	m.repair.inFlight = false
	switch ev := ev.(type) {
	case FetchedGradient:
		m.repair.gone = ev.Err != nil
		if ev.Err == nil {
			g := ev.Gradient
			if f := m.cfg.rules.fetched; f != nil {
				g = f(m, g)
			}
			m.keeper.AddGradient(g)
		}
	case FetchedState:
		if ev.Err != nil {
			m.note("state not fetched, trying again: %v", ev.Err)
			return
		}
		m.repair.gone = false
		if ev.Step > m.keeper.Step() || m.repair.differs {
			m.adopt(ev)
		}
	}
}

func (m *Machine) adopt(ev FetchedState) {
	m.note("joined at step %d with a fetched state", ev.Step)
	m.keeper.Adopt(ev.State, ev.Step, ev.Chain, ev.Rows)
	m.forgetRows()
	m.repair.differs = false
	m.checkpoint()
	m.noteFigures(lastRow(ev.Rows))
	m.acknowledge()
}

func lastRow(rows []*api.StepRow) *api.StepRow {
	if len(rows) == 0 {
		return nil
	}
	return rows[len(rows)-1]
}

// known returns the gradient of step t if it is still here, to help others with.
func (m *Machine) known(t int) *state.Gradient {
	if m.keeper == nil || m.cfg.rules.dropGradient {
		return nil
	}
	if g := m.keeper.Last(); g != nil && g.Step() == t {
		return g
	}
	return nil
}
