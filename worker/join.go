package worker

import (
	"slices"

	"convoy/api"
	"convoy/bus"
	"convoy/state"
)

// keepEarly keeps what the stream brings while the first state is on its way, as
// far back as a state that is fetched now can need it.
func (m *Machine) keepEarly(msg bus.Message) {
	step, ok := streamStep(msg)
	if !ok || len(m.early) >= maxEarly {
		return
	}
	m.early = append(m.early, msg)
	m.early = slices.DeleteFunc(m.early, func(old bus.Message) bool {
		s, _ := streamStep(old)
		return s+state.MaxAhead < step
	})
}

// streamStep is the step of a gradient's chunk or row.
func streamStep(msg bus.Message) (step uint64, ok bool) {
	switch body := msg.Body.(type) {
	case *api.Envelope_Gradient:
		return body.Gradient.GetStep(), true
	case *api.Envelope_Row:
		return body.Row.GetStep(), true
	}
	return 0, false
}

// planned takes a plan that is not older than the one that stands. A plan
// without a job sends the worker home.
func (m *Machine) planned(term uint64, jobID string, p *api.Plan) {
	if term < m.term || (term == m.term && jobID == m.jobID && p.Version < m.plan.version) {
		return
	}
	m.heardAt = m.now
	if jobID != m.jobID && len(m.computing) > 0 {
		return // the state is in use; the leader sends the plan again
	}
	m.term = term
	m.plan = standing{p.Version, p.Leader, int(p.Low), int(p.High), int(p.Step)}
	if jobID == m.jobID {
		return
	}
	m.drop()
	m.jobID = jobID
	if jobID != "" {
		m.joining = true
		m.do(Join{jobID})
	}
}

func (m *Machine) drop() {
	if m.jobID != "" {
		m.do(Drop{})
	}
	m.jobID, m.job, m.keeper, m.early, m.adopt = "", nil, nil, nil, nil
	m.joining, m.fetching, m.anew, m.problem, m.differs = false, false, false, "", 0
	m.headStep, m.behindAt = 0, 0
	m.results, m.wants = results{}, nil
}

func (m *Machine) joined(ev Joined) {
	switch {
	case ev.ID != m.jobID: // another plan has come meanwhile
	case m.job != nil: // the job was left and joined again, and this answers the first time
	case ev.Err != nil:
		m.failed(ev.Err)
	default:
		m.job, m.problem = ev.Job, ""
		m.do(FetchState{m.jobID})
	}
}

// failed notes why the job cannot be joined and tries again later.
func (m *Machine) failed(err error) {
	m.joining, m.retryAt = false, m.now+rejoinAfter
	if text := err.Error(); text != m.problem {
		m.problem = text
		m.note("job %s: %v", m.jobID, err)
	}
}

func (m *Machine) fetchedState(ev FetchedState) {
	if ev.Job != m.jobID {
		return
	}
	m.fetching = false
	switch {
	case m.job == nil:
	case ev.Err != nil && m.keeper == nil:
		m.failed(ev.Err)
	case ev.Err != nil:
		m.note("job %s: %v; trying again", m.jobID, ev.Err)
	default:
		m.adopt = ev.Copy
	}
}

func (m *Machine) adoptState() {
	c := m.adopt
	m.adopt, m.joining = nil, false
	if m.keeper == nil {
		m.keeper = state.NewKeeper(m.job, c.State, c.Step, c.Chain)
		m.keeper.Share(m.cfg.Runner)
		m.problem = "" // a fetch that failed before
		m.note("job %s: joined at step %d", m.jobID, c.Step)
		early := m.early
		m.early = nil
		for _, msg := range early {
			m.received(msg)
		}
		m.hello(false)
		return
	}
	if c.Step <= m.keeper.Step() && !m.anew {
		return // the replica asked was no further
	}
	m.anew = false
	m.results = results{} // they may come from another state of the same step
	m.note("job %s: caught up from step %d to %d with a fetched state", m.jobID, m.keeper.Step(), c.Step)
	m.keeper.Adopt(c.State, c.Step, c.Chain, nil)
}
