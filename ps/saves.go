package ps

// savesWaiting is how many states wait for the disk, each a copy in memory.
const savesWaiting = 2

// saves are the states that are to go to disk, one at a time. A state is written
// once its step is committed: a replica that restarts from a checkpoint has no
// rows of the steps before it, so that a head behind it could never be moved. A
// state that cannot be written stops the replica.
type saves struct {
	waiting []WriteCheckpoint // oldest first
	writing bool              // the first of them
}

// checkpoint takes a copy of the state where one is due, and where a pausing job
// rests, so that resuming it computes nothing again. Where the disk is slower
// than the steps the newest state takes the place of the one before, so that the
// last state of the job is always written.
func (m *Machine) checkpoint() {
	t, every := m.keeper.Step(), int(m.record.Submit.CheckpointEvery)
	rests := m.pausing() && t > 0 && uint64(t) == m.record.RestStep
	if !rests && !m.job.Sequence.CheckpointDue(every, t) || uint64(t) <= m.saved.CheckpointStep {
		return
	}
	s := &m.saves
	if n := len(s.waiting); n > 0 && s.waiting[n-1].Step >= t {
		return
	}
	if len(s.waiting) > savesWaiting {
		s.waiting = s.waiting[:savesWaiting]
	}
	s.waiting = append(s.waiting, WriteCheckpoint{State: m.keeper.State().Clone(), Step: t, Chain: m.keeper.Chain()})
}

// save starts on the next state that may be written.
func (m *Machine) save() {
	s := &m.saves
	if len(s.waiting) == 0 || s.writing {
		return
	}
	if uint64(s.waiting[0].Step) > m.record.Committed && !m.cfg.rules.eagerSaves {
		return
	}
	s.writing = true
	m.do(s.waiting[0])
}

func (m *Machine) checkpointWritten(c CheckpointWritten) {
	s := &m.saves
	if s.writing && s.waiting[0].Step == c.Step {
		s.writing = false
		s.waiting = s.waiting[1:]
	}
	if uint64(c.Step) > m.saved.CheckpointStep || len(m.saved.CheckpointSha256) == 0 {
		m.saved.CheckpointStep, m.saved.CheckpointSha256 = uint64(c.Step), c.SHA256[:]
	}
	m.acknowledge()
}
