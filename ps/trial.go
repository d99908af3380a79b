package ps

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"convoy/rng"
	"convoy/tree"
)

// thirdWithin is how long a step waits for one more worker to tell which of two
// differing results is right.
const thirdWithin = 10 * time.Second

// trial is a node of the step that more than one worker computes: because its
// worker is late, because it is audited, or because its result is in doubt. Copies
// that differ hold up the step, whatever they were made for.
type trial struct {
	node  tree.Node
	asked []request
	// waits says that the step is not finished before a second worker agrees, and
	// must that this holds even while there is none.
	waits, must bool
	differs     bool
	since       time.Duration // when it was begun, or its copies were seen to differ
	agreed      bool          // two workers have computed the same
	over        bool          // agreed, or given up
}

// request is what a worker was asked for.
type request struct {
	worker string
	until  time.Duration // when it should have answered
}

func (l *leader) trialOf(n tree.Node) *trial {
	i := slices.IndexFunc(l.trials, func(t *trial) bool { return t.node == n })
	if i < 0 {
		return nil
	}
	return l.trials[i]
}

func (l *leader) newTrial(n tree.Node) *trial {
	t := &trial{node: n, since: l.m.now}
	l.trials = append(l.trials, t)
	for _, a := range l.plan.assigned { // who has it in the plan computes it anyway
		if a.low <= n.Low && n.High <= a.high {
			t.asked = append(t.asked, request{a.worker, l.began() + late(l.expected(a.worker, a.low, a.high))})
			l.collect.want(a.worker, n)
		}
	}
	return t
}

// ask has a worker compute the node of a trial, or send it again.
func (l *leader) ask(t *trial, id string) {
	l.collect.want(id, t.node)
	l.wantFrom(id, t.node, true)
	done := max(l.m.now, l.done(id)) + l.expected(id, t.node.Low, t.node.High)
	l.timing.load[id] = done
	t.asked = append(slices.DeleteFunc(t.asked, func(r request) bool { return r.worker == id }), request{id, l.m.now + late(done-l.m.now)})
}

// done is when a worker should be done with all that it was asked for so far.
func (l *leader) done(id string) time.Duration {
	done := l.timing.load[id]
	for _, a := range l.plan.assigned {
		if a.worker == id && !l.timing.whole[id] {
			done = max(done, l.began()+l.expected(id, a.low, a.high))
		}
	}
	return done
}

// candidate is the worker that should be done first with the node of a trial, of
// those that were not asked for it; with idle, of those that have nothing else to
// do. It is empty where there is none.
func (l *leader) candidate(t *trial, idle bool) string {
	best, at := "", time.Duration(0)
	for _, id := range l.eligible() {
		if slices.ContainsFunc(t.asked, func(r request) bool { return r.worker == id }) || l.collect.of(id, t.node) != nil {
			continue
		}
		busy := l.done(id)
		if idle && busy > l.m.now || idle && l.owesBlock(id) {
			continue
		}
		if done := max(l.m.now, busy) + l.expected(id, t.node.Low, t.node.High); best == "" || done < at {
			best, at = id, done
		}
	}
	return best
}

// owesBlock reports whether a worker has not brought what the plan gives it.
func (l *leader) owesBlock(id string) bool {
	return !l.timing.whole[id] && slices.ContainsFunc(l.plan.assigned, func(a assignment) bool { return a.worker == id })
}

// answering reports whether a worker that was asked may still answer in time.
func (l *leader) answering(t *trial) bool {
	eligible := l.eligible()
	return slices.ContainsFunc(t.asked, func(r request) bool {
		return l.m.now < r.until && l.collect.of(r.worker, t.node) == nil && slices.Contains(eligible, r.worker)
	})
}

// audited reports whether a block is one of those that a second worker computes.
func (l *leader) audited(n tree.Node) bool {
	share := l.m.record.Submit.Audit
	if share <= 0 {
		return false
	}
	stream := rng.At(l.m.job.Recipe.Seed, rng.Audit, uint64(l.collect.step), uint64(n.Low)<<16|uint64(n.High))
	return stream.Float32() < share
}

// audit begins the trials of the blocks that the plan gives out, as soon as
// workers can begin with them.
func (l *leader) audit() {
	for _, a := range l.plan.assigned {
		for _, n := range tree.Cover(a.low, a.high) {
			if l.collect.examples(n) > 0 && l.audited(n) {
				l.auditNode(n)
			}
		}
	}
}

func (l *leader) auditNode(n tree.Node) {
	t := l.trialOf(n)
	if t == nil {
		t = l.newTrial(n)
	}
	if !t.waits && !t.over {
		t.waits, t.must = true, l.m.record.Submit.Audit >= 1
		if id := l.candidate(t, false); id != "" {
			l.ask(t, id)
		}
	}
}

// settled reports whether nothing keeps the step, which is complete, from being
// finished. Blocks that the plan did not give out in this form are audited now.
func (l *leader) settled() bool {
	for _, n := range l.collect.parted(l.collect.root(), nil) {
		if l.audited(n) {
			l.auditNode(n)
		}
	}
	return !slices.ContainsFunc(l.trials, func(t *trial) bool { return t.waits && !t.over })
}

// try moves all trials on: compares what has come, and asks who can help.
func (l *leader) try() {
	for _, t := range l.trials {
		if t.over || l.log.ending != nil {
			continue
		}
		groups := l.collect.votes(t.node)
		switch {
		case len(groups) > 1:
			l.differ(t, groups)
		case len(groups) == 1 && len(groups[0]) > 1:
			t.agreed, t.over = true, true
		case t.waits:
			l.await(t)
		}
	}
}

// await asks one more worker where nobody is left who may answer in time.
func (l *leader) await(t *trial) {
	if l.answering(t) {
		return
	}
	if id := l.candidate(t, false); id != "" {
		l.ask(t, id)
		return
	}
	eligible := l.eligible()
	i := slices.IndexFunc(t.asked, func(r request) bool {
		return slices.Contains(eligible, r.worker) && l.collect.of(r.worker, t.node) == nil
	})
	switch {
	case !t.must:
		t.over = true // an audit holds nobody up for longer than a second copy takes
	case i >= 0:
		l.ask(t, t.asked[i].worker)
	case l.m.now-t.since <= thirdWithin:
	case t.differs:
		l.suspect(fmt.Sprintf("%s, and no third worker came to tell who is right", differing(t.node, l.collect.votes(t.node))))
	case l.doubted:
		l.suspect("computed again it does not give what the log recorded, and no second worker came to tell why")
	}
}

// differ decides between copies that differ: the odd one of three is wrong.
func (l *leader) differ(t *trial, groups [][]string) {
	if !t.differs {
		t.differs, t.waits, t.must, t.since = true, true, true, l.m.now
		l.m.note("step %d: %s: a third worker decides", l.collect.step, differing(t.node, groups))
	}
	most := slices.MaxFunc(groups, func(a, b []string) int { return len(a) - len(b) })
	switch {
	case len(most) > 1:
		l.decide(t, groups, most)
	case len(groups) > 2:
		l.suspect(differing(t.node, groups) + ": no two agree")
	default:
		if wrong := l.byRecord(t.node, groups); wrong != "" {
			l.quarantine(wrong, fmt.Sprintf("its sum of micro-batches %v of step %d does not give what the log recorded, that of another worker does", t.node, l.collect.step))
			for _, t := range l.trials { // the log has confirmed all results but those
				t.over = true
			}
			return
		}
		l.await(t)
	}
}

// decide takes the result that most agree on and quarantines the others.
func (l *leader) decide(t *trial, groups [][]string, most []string) {
	l.collect.choose(most[0], t.node)
	t.agreed, t.over, t.differs = true, true, false
	for _, group := range groups {
		if group[0] == most[0] {
			continue
		}
		for _, id := range group {
			l.quarantine(id, fmt.Sprintf("its sum of micro-batches %v of step %d differs from that of %s", t.node, l.collect.step, strings.Join(most, " and ")))
		}
	}
}

// byRecord tells which of two workers is wrong by the log, where the step was
// committed before its state was lost.
func (l *leader) byRecord(n tree.Node, groups [][]string) (wrong string) {
	want, ok := l.inLog(l.collect.step)
	if !ok {
		return ""
	}
	for _, group := range groups {
		root := l.collect.without(group[0], n, func(n tree.Node) bool { t := l.trialOf(n); return t != nil && t.agreed })
		if root == nil {
			continue
		}
		if g, finite := mean(l.m.keeper, root); finite && string(want[:]) == string(g.Row.ChainNext) {
			return group[0]
		}
	}
	return ""
}

// doubt has other workers compute all of a step whose outcome cannot be taken as
// it is, and reports false where that was done already. must says that a worker
// alone does not settle it.
func (l *leader) doubt(must bool) bool {
	if l.doubted {
		return false
	}
	l.doubted = true
	for _, n := range l.collect.parted(l.collect.root(), nil) {
		t := l.trialOf(n)
		if t == nil {
			t = l.newTrial(n)
		}
		if !t.agreed {
			t.waits, t.must, t.differs, t.over, t.since = true, must, false, false, l.m.now
		}
	}
	return true
}

// undecided says which trial holds the step up for long, if any.
func (l *leader) undecided() string {
	for _, t := range l.trials {
		switch {
		case t.over || !t.waits || l.m.now-t.since < time.Second || l.ready != nil:
		case t.differs:
			return differing(t.node, l.collect.votes(t.node)) + ": waiting for a third worker to tell who is right"
		case t.must:
			return fmt.Sprintf("waiting for a second worker to compute micro-batches %v of step %d too", t.node, l.collect.step)
		}
	}
	return ""
}

func differing(n tree.Node, groups [][]string) string {
	var ids []string
	for _, group := range groups {
		ids = append(ids, group...)
	}
	return fmt.Sprintf("%s have computed different sums of micro-batches %v", strings.Join(ids, " and "), n)
}
