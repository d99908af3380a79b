package ps

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"convoy/api"
	"convoy/bus"
	"convoy/digest"
	"convoy/state"
	"convoy/tree"
)

// Bounds of how far commits may lag behind publication; at either one
// publication waits.
const (
	maxUncommitted = 64
	maxCommitLag   = time.Second
)

// leader is the part of a Machine that runs the steps.
type leader struct {
	m       *Machine
	since   time.Duration // when it began to lead
	adopted bool          // whether it has the most advanced state that a majority knows of
	askedAt time.Duration
	answers map[string]*api.HeldResponse
	acks    map[string]*api.Ack
	ackedAt map[string]time.Duration
	plan    plan
	collect *collection
	ready   *state.Gradient // of the step being collected, waiting for its turn
	pending *state.Gradient // published, to be applied here
	fan     fanout
	log     proposals
	headAt  time.Duration            // when the last head was sent
	timing  timing                   // of the collection
	trials  []*trial                 // of the collection
	doubted bool                     // others compute all of it too: it cannot be taken as it is
	waited  map[string]time.Duration // for how long workers' shares have waited for others'
	movedAt time.Duration            // when it last got anything
	pace    time.Duration            // smoothed time between two publications
	lastPub time.Duration
}

func newLeader(m *Machine) *leader {
	l := &leader{m: m, waited: map[string]time.Duration{}, answers: map[string]*api.HeldResponse{}, acks: map[string]*api.Ack{}, ackedAt: map[string]time.Duration{}, movedAt: m.now, since: m.now, askedAt: -retryAfter}
	l.fan.leader, l.log.leader = l, l
	l.log.checkpoints = map[uint64]map[string]string{}
	m.note("%s leads in term %d", m.cfg.Self, m.term)
	return l
}

// majority is how many voters decide.
func (l *leader) majority() int { return len(l.m.cfg.Voters)/2 + 1 }

// membersChanged forgets what replicas said that are members no more. What was
// published under the old voters is proposed only once a majority of the new ones
// holds it.
func (l *leader) membersChanged() {
	gone := func(id string, _ *api.Ack) bool { return !l.m.member(id) }
	maps.DeleteFunc(l.acks, gone)
	maps.DeleteFunc(l.answers, func(id string, _ *api.HeldResponse) bool { return !l.m.member(id) })
}

// others are the voters apart from this one.
func (l *leader) others() []string {
	return slices.DeleteFunc(slices.Clone(l.m.cfg.Voters), func(id string) bool { return id == l.m.cfg.Self })
}

func (l *leader) tick() {
	if l.m.keeper == nil {
		return
	}
	if !l.adopted {
		if l.m.now-l.askedAt >= retryAfter {
			l.askedAt = l.m.now
			l.m.do(AskHeld{Replicas: l.others()})
		}
		return
	}
	if l.m.now-l.headAt >= headEvery {
		l.sendHead()
	}
	if l.m.running() {
		l.replan()
		l.fan.push()
		if !l.resting() {
			l.wantMissing()
			l.hurry()
		}
	}
}

// resting reports whether the job is to be paused and publishes nothing more:
// only steps that were committed and then lost by all are computed again.
func (l *leader) resting() bool {
	return l.m.pausing() && !l.m.cfg.rules.noRest && l.m.keeper.Step() >= int(l.m.record.Committed)
}

func (l *leader) advance() {
	k := l.m.keeper
	if !l.adopted {
		if l.m.running() {
			l.m.follow()
		}
		if !l.adopt() {
			return
		}
	}
	if l.pending != nil {
		g := l.pending
		l.pending = nil
		l.m.apply(g)
		l.m.acknowledge()
	}
	if l.m.running() && !l.resting() && k.Step() < l.m.job.Sequence.Len() {
		l.step()
	}
	l.log.propose()
}

// adopt makes sure that no majority knows of a later state than ours: it asks
// all, and fetches from the most advanced. With the receipt rule what a
// majority knows is at most one gradient ahead of what was published.
func (l *leader) adopt() bool {
	known := 1
	for _, id := range l.others() {
		if a := l.answers[id]; a != nil && (a.Ready || l.m.now-l.since > time.Second) { // one that still reads its disk may be ahead
			known++
		}
	}
	if known < l.majority() || l.m.repair.inFlight {
		return false
	}
	best, from := l.m.keeper.Step(), ""
	for id := range sorted(l.answers) {
		if a := l.answers[id]; a.Ready && int(a.Step) > best {
			best, from = int(a.Step), id
		}
	}
	if from != "" && !l.m.cfg.rules.noAdoption {
		l.answers = map[string]*api.HeldResponse{} // ask again once it has come or failed
		l.askedAt = l.m.now - retryAfter
		l.m.fetch(from, best)
		return false
	}
	l.adopted = true
	if t, committed := l.m.keeper.Step(), int(l.m.record.Committed); t < committed {
		l.m.note("no replica holds step %d any more: computing again from step %d", committed, t)
	}
	return true
}

func (l *leader) held(r *api.HeldResponse) {
	if l.m.voter(r.Replica) && !l.adopted {
		l.answers[r.Replica] = r
	}
}

// step collects, finishes and publishes the gradient of the keeper's step.
func (l *leader) step() {
	k := l.m.keeper
	if l.collect == nil || l.collect.step != k.Step() {
		l.begin()
	}
	if l.ready == nil {
		g, err := k.Next() // from a leader before this one, or from a worker that has it
		if err != nil {
			l.m.note("step %d: %v; dropped", k.Step(), err)
		}
		l.ready = g
	}
	if l.ready == nil {
		l.try()
	}
	if l.ready == nil && l.collect.complete(l.collect.root()) && l.settled() {
		l.finish()
	}
	if l.ready != nil && l.mayPublish() {
		l.publish()
	}
}

// begin starts to collect the keeper's step.
func (l *leader) begin() {
	k, before := l.m.keeper, l.collect
	l.collect = newCollection(l.m.job.Sequence, k.Step(), k.GradientLen(k.Step()))
	l.collect.rules = l.m.cfg.rules
	l.collect.unit, l.collect.round = l.m.job.Recipe.Unit(), l.m.job.Recipe.Rounds()
	if before != nil {
		l.collect.speed = before.speed
	}
	l.ready, l.trials, l.doubted, l.movedAt = nil, nil, false, l.m.now
	l.beginTiming()
	l.audit()
}

func (l *leader) finish() {
	k := l.m.keeper
	total, shares := l.collect.total()
	g, finite := mean(k, total)
	if !finite && l.doubt(false) {
		l.m.note("step %d: the gradient or the loss is not finite: others compute it too", k.Step())
		return
	}
	if !finite {
		l.log.fail("diverged at step %d: the gradient or the loss is not finite; lower the learning rate and submit again", k.Step())
		return
	}
	row := g.Row
	row.Chunks = uint32(state.Chunks(len(g.Data), l.m.cfg.ChunkFloats))
	setShares(row, shares)
	for _, t := range l.trials {
		if t.agreed {
			row.Audited++
		}
	}
	if want, ok := l.inLog(k.Step()); ok && !bytes.Equal(want[:], row.ChainNext) {
		if l.doubt(true) {
			l.m.note("step %d computed again by %s gives another result than the log has: others compute it too", k.Step(), strings.Join(row.Workers, ", "))
		} else {
			l.suspect(fmt.Sprintf("two workers' results give chain %x, the log has %s", row.ChainNext, want))
		}
		return
	}
	for worker, at := range l.timing.heard {
		l.waited[worker] += l.m.now - at
	}
	l.overtaken()
	l.ready = g
}

// inLog is c(t+1) by the log, for a step that was committed before its state
// was lost.
func (l *leader) inLog(t int) (digest.Sum, bool) {
	if t >= int(l.m.record.Committed) || l.m.cfg.Recorded == nil {
		return digest.Sum{}, false
	}
	return l.m.cfg.Recorded(t)
}

// mean divides the root by the number of examples and closes the gradient that
// it is then; finite is whether it and the loss are.
func mean(k *state.Keeper, root *node) (g *state.Gradient, finite bool) {
	if root.data == nil { // an evaluation's
		return &state.Gradient{Row: k.NewRow(nil, root.sums)}, !nonFinite(root.sums.Loss)
	}
	g = &state.Gradient{Data: make([]float32, len(root.data))} // the root is its worker's
	g.Row, finite = k.Mean(g.Data, root.data, root.sums)
	return g, finite && !nonFinite(root.sums.Loss)
}

// mayPublish is the receipt rule: a majority holds the gradient before this one
// in memory. That, and the bounds on the lag of commits and on what is on its way.
func (l *leader) mayPublish() bool {
	t, committed := l.m.keeper.Step(), int(l.m.record.Committed)
	if (l.received() < t && !l.m.cfg.rules.noReceipt) || l.fan.full() || l.log.ending != nil {
		return false
	}
	return t < committed || (t-committed < maxUncommitted && l.log.lag() < maxCommitLag)
}

// received is the number of gradients that a majority of voters holds.
func (l *leader) received() int {
	var have []int
	for _, v := range l.m.cfg.Voters {
		if v == l.m.cfg.Self {
			have = append(have, l.m.keeper.Step())
		} else if a := l.acks[v]; a != nil {
			have = append(have, int(a.Received))
		}
	}
	if len(have) < l.majority() {
		return -1
	}
	slices.Sort(have)
	return have[len(have)-l.majority()]
}

func (l *leader) publish() {
	g := l.ready
	l.ready, l.pending = nil, g
	l.retune()
	l.fan.start(g)
	l.log.published(l.m.keeper.Step())
	if l.lastPub > 0 { // one long pause does not make the pace a slow one
		l.pace += (min(l.m.now-l.lastPub, 2*l.pace+time.Second) - l.pace) / 8
	}
	l.lastPub = l.m.now
	l.m.do(Again{})
}

func (l *leader) partial(worker string, p *api.Partial, data []float32) {
	k := l.m.keeper
	chain := k.Chain()
	if l.collect == nil || l.pending != nil || int(p.Step) != l.collect.step || l.collect.step != k.Step() ||
		!bytes.Equal(p.RecipeHash, l.m.job.Hash[:]) || (!bytes.Equal(p.Chain, chain[:]) && !l.m.cfg.rules.anyChain) {
		return
	}
	if _, is := l.m.isQuarantined(worker); is {
		return
	}
	count, fresh, err := l.collect.add(l.m.now, worker, p, data)
	if err != nil {
		l.m.note("step %d: dropped a partial of %s: %v", k.Step(), worker, err)
		return
	}
	if fresh {
		l.movedAt = l.m.now
		l.brought(worker)
	}
	if !fresh || count%creditEvery == 0 { // what comes again does so because a credit was lost
		l.m.send(bus.WorkerIn(l.m.cfg.Cluster, worker), &api.Envelope{Body: &api.Envelope_Credit{
			Credit: &api.Credit{Step: p.Step, Low: p.Low, High: p.High, Chunks: uint32(count)},
		}}, nil)
	}
}

func (l *leader) acknowledged(a *api.Ack) {
	if a.Term > l.m.term {
		return
	}
	l.acks[a.Replica], l.ackedAt[a.Replica] = a, l.m.now
	l.log.noteCheckpoint(a)
	if k := l.m.keeper; l.adopted && k != nil && l.pending == nil && int(a.Applied) > k.Step() {
		l.adopted = false // it had not answered in time: join from it
		l.answers = map[string]*api.HeldResponse{a.Replica: {Replica: a.Replica, Ready: true, Step: a.Applied}}
	}
}

func (l *leader) recorded() { l.log.trim() }

func (l *leader) proposalFailed(err error) {
	l.log.retryAt = l.m.now + retryAfter
	l.log.inFlight = false
	l.m.note("an entry may not have reached the log, reading it back: %v", err)
}

func (l *leader) sendHead() {
	l.headAt = l.m.now
	chain := l.m.keeper.Chain()
	l.m.send(bus.Gradients(l.m.cfg.Cluster, l.m.job.ID), &api.Envelope{Body: &api.Envelope_Head{Head: &api.Head{
		RecipeHash: l.m.job.Hash[:], Leader: l.m.cfg.Self,
		Step: uint64(l.m.keeper.Step()), Chain: chain[:],
		Plan: l.plan.version, Committed: l.m.record.Committed, Quarantined: l.m.quarantines(),
	}}}, nil)
}

// waiting says what holds the job up; it is empty while the job goes on.
func (l *leader) waiting() string {
	const long = time.Second
	switch {
	case l.m.keeper == nil:
		return "preparing the first state"
	case !l.adopted:
		return "asking the other replicas what they hold"
	case l.resting():
		return l.log.waitingToRest()
	case l.plan.waiting != "":
		return l.plan.waiting
	case l.undecided() != "":
		return l.undecided()
	case l.ready == nil || l.m.now-l.movedAt < long:
		return ""
	case l.received() < l.m.keeper.Step():
		return "waiting for replicas to hold the last gradient: " + strings.Join(l.lacking(), ", ")
	}
	return "waiting for the Raft log to commit"
}

// lacking are the replicas that do not hold the gradient published last.
func (l *leader) lacking() []string {
	return slices.DeleteFunc(l.others(), func(id string) bool {
		a := l.acks[id]
		return a != nil && int(a.Received) >= l.m.keeper.Step()
	})
}

// wantMissing asks for partials again when nothing has come for long: the bus
// may have lost them.
func (l *leader) wantMissing() {
	if l.collect == nil || l.ready != nil || l.collect.step != l.m.keeper.Step() ||
		l.m.now-l.movedAt < max(quietAfter, 4*l.pace) {
		return
	}
	l.movedAt = l.m.now
	missing := l.collect.missing(l.collect.root(), nil)
	for _, n := range missing {
		for _, a := range l.plan.assigned {
			if part, ok := overlap(n, a); ok {
				l.wantFrom(a.worker, part, false)
			}
		}
	}
}

func overlap(n tree.Node, a assignment) (tree.Node, bool) {
	both := tree.Node{Low: max(n.Low, a.low), High: min(n.High, a.high)}
	return both, both.Low < both.High
}

// agreed reports whether a majority of voters, this one among them, has
// computed the same initial state, and names one that has not.
func (l *leader) agreed(own digest.Sum) (ok bool, odd string) {
	same := 1
	for _, v := range l.others() {
		a := l.acks[v]
		switch {
		case a == nil || len(a.Digest) == 0:
		case bytes.Equal(a.Digest, own[:]):
			same++
		default:
			odd = v
		}
	}
	return same >= l.majority(), odd
}
