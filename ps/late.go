package ps

import (
	"time"

	"convoy/api"
	"convoy/bus"
	"convoy/tree"
)

const (
	lateFactor  = 3 // times its own expectation
	lateFloor   = 100 * time.Millisecond
	lateNotedAt = 10 * time.Second // between two lines of the log on one worker
)

// late is how long a worker may take for what is expected to take so long, which
// is 0 where nobody knows. The
// floor keeps a machine that is busy for a moment from doubling all work.
func late(expected time.Duration) time.Duration {
	if expected == 0 {
		return quietAfter
	}
	return max(lateFloor, lateFactor*expected)
}

// hurry has blocks that are late computed by workers that have brought their own:
// the first copy counts.
func (l *leader) hurry() {
	if l.collect == nil || l.ready != nil || l.collect.step != l.m.keeper.Step() {
		return
	}
	for _, a := range l.plan.assigned {
		expected := l.expected(a.worker, a.low, a.high)
		if l.timing.whole[a.worker] || expected == 0 || l.m.now-l.began() <= late(expected) ||
			l.m.now-l.timing.heard[a.worker] < lateFloor {
			continue
		}
		for _, n := range tree.Cover(a.low, a.high) {
			for _, missing := range l.collect.missing(n, nil) {
				l.backup(missing, a.worker)
			}
		}
	}
}

// backup has a node that owner is late with computed by another worker too.
func (l *leader) backup(n tree.Node, owner string) {
	t := l.trialOf(n)
	if t == nil {
		t = l.newTrial(n)
		l.wantFrom(owner, n, false) // the bus may have lost it
	}
	if l.answering(t) {
		return
	}
	id := l.candidate(t, true)
	if id == "" {
		return
	}
	l.ask(t, id)
	if w := l.m.workers[owner]; w != nil && l.m.now >= w.lateNoted {
		w.lateNoted = l.m.now + lateNotedAt
		l.m.note("step %d: %s is late with micro-batches %v after %v; %s computes them too", l.collect.step, owner, n, (l.m.now - l.timing.begun).Round(time.Millisecond), id)
	}
}

// wantFrom asks a worker for a node: what it has lost on the way, or, as a copy, a
// result of its own beside another worker's.
func (l *leader) wantFrom(id string, n tree.Node, copied bool) {
	l.m.send(bus.WorkerIn(l.m.cfg.Cluster, id), &api.Envelope{Body: &api.Envelope_Want{Want: &api.Want{
		Step: uint64(l.collect.step), Low: uint32(n.Low), High: uint32(n.High), Copy: copied,
	}}}, nil)
}
