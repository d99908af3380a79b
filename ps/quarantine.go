package ps

import (
	"fmt"

	"convoy/api"
)

// quarantine takes a worker that computes wrongly out of the job: what it has sent
// for this step is forgotten, and it is given no more. What it computed before was
// compared with nobody's, which the log says.
func (l *leader) quarantine(id, reason string) {
	q := &api.Quarantined{Worker: id, Reason: reason}
	if w := l.m.workers[id]; w != nil {
		q.Incarnation = w.hello.Incarnation
	}
	l.m.cfg.Quarantined[id] = q
	l.collect.drop(id)
	l.m.note("step %d: %s is quarantined: %s. Test its machine's memory and processor and start it again; steps before that used its results without a second opinion", l.collect.step, id, reason)
	l.replan()
}

// isQuarantined reports whether a worker is given no blocks, and why: until its
// process is another one.
func (m *Machine) isQuarantined(id string) (reason string, is bool) {
	return inQuarantine(m.cfg.Quarantined[id], m.workers[id])
}

func inQuarantine(q *api.Quarantined, w *workerSeen) (reason string, is bool) {
	if q == nil || (w != nil && w.hello.Incarnation != q.Incarnation) {
		return "", false
	}
	return q.Reason, true
}

// quarantines is what the leader's head tells the other replicas, so that one of
// them that leads later knows.
func (m *Machine) quarantines() (all []*api.Quarantined) {
	for id := range sorted(m.cfg.Quarantined) {
		if _, is := m.isQuarantined(id); is {
			all = append(all, m.cfg.Quarantined[id])
		}
	}
	return all
}

func (m *Machine) noteQuarantines(all []*api.Quarantined) {
	for _, q := range all {
		m.cfg.Quarantined[q.Worker] = q
	}
}

// suspect ends the job: machines compute differently, and none can be told to be
// wrong.
func (l *leader) suspect(evidence string) {
	l.log.suspect(l.collect.step, fmt.Sprintf("suspect at step %d: %s. Test the memory and processors of these machines, leave out the faulty one and submit the job again; "+
		"`coordinator job model %s` has the last recorded checkpoint, of step %d", l.collect.step, evidence, l.m.job.ID, l.m.record.Checkpoint.GetStep()))
}
