package ps

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/bus"
	"convoy/state"
)

// invariants are what every simulated run is held against while it goes on:
//
//	I1  one accepted commit for each (job, step)
//	I2  equal digest on every replica at (R, t)
//	I3  a committed step was held by a majority of voters when it was proposed
//	I4  with a majority ready every committed step can be served; else it can be
//	    computed again
//	I5  an example is used exactly once an epoch
//	I6  once faults are mended there is progress, after at most one step redone
//	I7  the digest at the end is that of the run without faults
//
// and the memory of every machine is bounded.
type invariants struct {
	w      *world
	broken []string // what did not hold

	log         []simEntry // what any leader has committed
	overwritten int        // entries of a minority that were lost
	rows        []*api.LedgerRow
	publishedAt []time.Duration // when each gradient was first to be had
	redone      int             // steps computed again although their gradient was out
	looks       int             // at what machines keep
	movedAt     time.Duration   // when the run last got further
	longest     time.Duration   // without progress, once all is well

	written map[uint64]map[string]bool // checkpoints by step and replica
}

// stall is how long a whole cluster may stand still: an election whose votes
// split, and what was under way on both sides of it.
const stall = 8 * time.Second

// state is I2, after every event of a replica: whatever state it holds is the
// true one.
func (v *invariants) state(r *simReplica) {
	k := r.machine.Keeper()
	if k == nil {
		return
	}
	r.held = max(r.held, k.Step())
	v.out(k.Step() - 1) // while the one before is on its way a gradient is not on the bus yet
	if want := v.w.want[k.Step()]; k.Chain() != want.chain || k.State().Digest() != want.digest {
		v.w.violated("I2: %s holds another state %d: chain %v, state %v", r.id, k.Step(), k.Chain() == want.chain, k.State().Digest() == want.digest)
	}
}

// recorded is I1, I5 and I7 of steps that a replica's FSM accepts: each once, in
// order, with one chain, and with every micro-batch in one share.
func (v *invariants) recorded(r *simReplica, rows []*api.LedgerRow) {
	for i, row := range rows {
		t := len(r.rows) + i
		if row.Step != uint64(t) || t+1 >= len(v.w.want) {
			v.w.violated("I1: %s accepts step %d as step %d", r.id, row.Step, t)
			return
		}
		if t < len(v.rows) {
			if !proto.Equal(row, v.rows[t]) {
				v.w.violated("I1: %s accepts another commit of step %d", r.id, t)
			}
			continue
		}
		v.rows = append(v.rows, row)
		v.moved()
		if !bytes.Equal(row.Chain, v.w.want[t+1].chain[:]) {
			v.w.violated("I7: step %d is committed with chain %.4x", t, row.Chain)
		}
		v.shares(t, row)
	}
	v.served()
}

func (v *invariants) shares(t int, row *api.LedgerRow) {
	seen := make([]int, v.w.recipe.MicroBatches)
	for _, s := range row.Shares {
		for m := s.Low; m < s.High; m++ {
			seen[m]++
		}
	}
	for m, n := range seen {
		low, high := v.w.recipe.Sequence().Positions(t, m)
		if n > 1 || (n == 0 && low < high) {
			v.w.violated("I5: micro-batch %d of step %d is in %d shares", m, t, n)
		}
	}
}

// proposal is I3. A replica that has held a gradient may have lost it since.
func (v *invariants) proposal(r *simReplica, e *api.Entry) {
	c := e.GetStepCommit()
	if c == nil {
		return
	}
	holders, end := 0, int(c.First)+len(c.Rows)
	for _, o := range v.w.replicas {
		if o.held >= end {
			holders++
		}
	}
	if holders <= len(v.w.replicas)/2 {
		v.w.violated("I3: %s proposes steps up to %d, which %d replicas have held", r.id, end, holders)
	}
}

// served is I4: what is committed is in a replica's memory as long as no majority
// has lost what it had.
func (v *invariants) served() {
	head := len(v.rows)
	if head == 0 || head > len(v.publishedAt) {
		return
	}
	unbroken, holders := 0, 0
	for _, r := range v.w.replicas {
		if !r.up || r.fresh > v.publishedAt[head-1] {
			continue
		}
		unbroken++
		if r.machine == nil || (r.machine.Keeper() != nil && r.machine.Keeper().Step() >= head) { // no machine: the job has ended or rests there
			holders++
		}
	}
	if unbroken > len(v.w.replicas)/2 && holders == 0 {
		v.w.violated("I4: %d replicas have kept their memory, and none holds committed step %d", unbroken, head-1)
	}
}

// checkpoint is the other half of I4: a replica that goes on from a file knows
// all steps behind it from the log.
func (v *invariants) checkpoint(r *simReplica, step int) {
	if step > len(v.rows) {
		v.w.violated("I4: %s writes state %d while %d steps are committed", r.id, step, len(v.rows))
	}
}

// publication notes gradients on the bus, and finds steps done again. With the
// receipt rule a new leader redoes the step published last at most: a majority
// held the gradient before it, and one of those has answered. That holds as long
// as no replica has lost its memory meanwhile.
func (v *invariants) publication(r *simReplica, m bus.Message) {
	t := -1
	if g := m.GetGradient(); g != nil {
		t = int(g.Step)
	} else if row := m.GetRow(); row != nil {
		t = int(row.Step)
		v.again(r, t)
	}
	v.out(t)
}

// out notes that gradient t can be had.
func (v *invariants) out(t int) {
	for t >= len(v.publishedAt) {
		v.publishedAt = append(v.publishedAt, v.w.now)
		v.moved()
	}
}

// again judges a gradient whose row a leader publishes.
func (v *invariants) again(r *simReplica, t int) {
	l := r.machine.lead
	if l.collect == nil || l.collect.step != t || !l.collect.complete(l.collect.root()) {
		return // handed on, not computed
	}
	published := 0
	for published < len(v.publishedAt) && v.publishedAt[published] < r.ledSince {
		published++
	}
	if t >= published {
		return
	}
	v.redone++
	v.w.trace("%v: %s has done step %d again, %d were out", v.w.now, r.id, t, published)
	if t == published-1 {
		return
	}
	since := v.publishedAt[published-2]
	if !slices.ContainsFunc(v.w.replicas, func(o *simReplica) bool { return o.fresh > since }) {
		v.w.violated("I6: %s computes step %d again, while %d were published when it began to lead and nobody has lost its memory", r.id, t, published)
	}
}

func (v *invariants) moved() { v.movedAt = v.w.now }

// progress is I6 of a cluster that is whole.
func (v *invariants) progress() {
	if v.w.trouble {
		return
	}
	still := v.w.now - max(v.movedAt, v.w.healed)
	v.longest = max(v.longest, still)
	if still > stall {
		var at []string
		for _, r := range v.w.replicas {
			record := r.fsm.record(simJob)
			line := fmt.Sprintf("%s: up %v, role %+v, holds step %d, ready %v; the log: %v, %d committed, checkpoint %d",
				r.id, r.up, r.role, r.holds().Step, r.holds().Ready, record.GetPhase(), record.GetCommitted(), record.GetCheckpoint().GetStep())
			if r.machine != nil && r.machine.lead != nil {
				line += ", it is " + r.machine.lead.waiting()
			}
			at = append(at, line)
		}
		v.w.violated("I6: nothing has moved for %v:\n%s", still, strings.Join(at, "\n"))
	}
}

// end is I7.
func (v *invariants) end() {
	w := v.w
	last := w.want[len(w.want)-1].digest
	for _, r := range w.replicas {
		record := r.fsm.snapshot().Jobs[0]
		switch {
		case record.Phase == api.Phase_PHASE_CANCELLED && w.cancel:
			if int(record.Committed) != len(v.rows) {
				w.violated("I1: %s has cancelled the job at step %d, others at %d", r.id, record.Committed, len(v.rows))
			}
		case record.Phase != api.Phase_PHASE_FINISHED || !bytes.Equal(record.LastDigest, last[:]) || len(r.rows) != len(w.want)-1:
			w.violated("I7: %s: the job ends as %v (%s) after %d steps with digest %x, want %s", r.id, record.Phase, record.Reason, len(r.rows), record.LastDigest, last)
		}
	}
}

// memory bounds what a replica's machine keeps. What grows too large stays so:
// a look at every eighth event finds it.
func (v *invariants) memory(r *simReplica) {
	m := r.machine
	if v.looks++; v.looks%8 != 0 || m == nil || m.keeper == nil {
		return
	}
	v.bound(r.id, "rows", len(m.keeper.Rows()), max(0, m.keeper.Step()-int(m.record.Committed)))
	v.bound(r.id, "states for the disk", len(m.saves.waiting), savesWaiting+1)
	v.bound(r.id, "workers", len(m.workers), len(v.w.workers))
	v.bound(r.id, "gradients from the bus", length(m.keeper, "incoming"), state.MaxAhead+1)
	if l := m.lead; l != nil {
		v.bound(r.id, "gradients on their way", len(l.fan.queue), maxOnTheWay)
		v.bound(r.id, "proposals", len(l.log.times), maxUncommitted+1)
		v.bound(r.id, "answers", len(l.answers), len(v.w.replicas))
		if l.collect != nil {
			v.bound(r.id, "nodes", len(l.collect.nodes), 2*v.w.recipe.MicroBatches)
			v.bound(r.id, "copies", len(l.collect.copies), 2*v.w.recipe.MicroBatches*len(v.w.workers))
			v.bound(r.id, "trials", len(l.trials), 2*v.w.recipe.MicroBatches)
			v.bound(r.id, "nodes on their way", len(l.collect.parts), 2*v.w.recipe.MicroBatches*len(v.w.workers))
		}
	}
}

// workerMemory bounds what a worker's machine keeps.
func (v *invariants) workerMemory(k *simWorker) {
	const maxEarly = 4096
	if v.looks++; v.looks%8 != 0 {
		return
	}
	v.bound(k.id, "early messages", length(k.machine, "early"), maxEarly)
	v.bound(k.id, "results", length(k.machine, "results", "done"), 2*v.w.recipe.MicroBatches)
	v.bound(k.id, "wanted nodes", length(k.machine, "results", "extra"), wantedAtMost)
	v.bound(k.id, "wanted copies", length(k.machine, "results", "copies"), 2*v.w.recipe.MicroBatches)
	v.bound(k.id, "wants of steps that come", length(k.machine, "wants"), wantedAtMost)
}

// wantedAtMost is how many requests for lost partials a worker keeps: the leader
// asks when it has waited for long, node by node, for as long as a step takes.
const wantedAtMost = 1 << 10

func (v *invariants) bound(id, what string, n, most int) {
	if n > most {
		v.w.violated("memory: %s keeps %d %s, the bound is %d", id, n, what, most)
	}
}

// length is that of a field of another package's.
func length(of any, path ...string) int {
	f := reflect.ValueOf(of).Elem()
	for _, name := range path {
		f = f.FieldByName(name)
	}
	return f.Len()
}
