package ps

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"convoy/api"
	"convoy/bus"
	"convoy/job"
	"convoy/tree"
)

const (
	stuckAfter  = 10 * time.Second // a step may take this long before a worker counts as stuck
	benchFor    = 30 * time.Second
	forgetAfter = time.Minute
)

// plan is the standing plan: which worker computes which micro-batches of every
// step, until another plan replaces it.
type plan struct {
	version  uint64
	assigned []assignment
	waiting  string // why nobody is assigned
}

// assignment gives micro-batches [low, high) to a worker.
type assignment struct {
	worker    string
	low, high int
}

// assign cuts m micro-batches into contiguous ranges that differ by at most
// one. More workers than micro-batches leave the last ones in reserve.
func assign(workers []string, m int) []assignment {
	n := min(len(workers), m)
	a := make([]assignment, n)
	for i := range a {
		a[i] = assignment{workers[i], i * m / n, (i + 1) * m / n}
	}
	return a
}

// eligible are the workers that may be given blocks now, in order.
func (l *leader) eligible() []string {
	var ids []string
	for id, w := range l.m.workers {
		if l.m.now-w.at <= l.m.cfg.Silence && l.m.now-w.level <= max(behindAfter, 4*l.pace) && w.job == l.m.job.ID && w.hello.Ready && w.hello.Problem == "" &&
			w.hello.ArithmeticVersion == job.ArithmeticVersion {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	fit := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return l.m.now < l.m.workers[id].bench })
	if len(fit) > 0 { // a worker that makes no progress is still better than none
		ids = fit
	}
	if most := int(l.m.record.Submit.WorkersMax); most > 0 && len(ids) > most {
		ids = ids[:most]
	}
	return ids
}

// replan replaces the standing plan when other workers are there. With none at
// all the old one stands: they may only be silent for a moment.
func (l *leader) replan() {
	l.forget()
	ids := l.eligible()
	least := int(l.m.record.Submit.WorkersMin)
	if len(ids) == 0 || (l.plan.version == 0 && len(ids) < least) {
		l.plan.waiting = fmt.Sprintf("waiting for workers: %d of %d are ready", len(ids), max(least, 1))
		return
	}
	l.plan.waiting = ""
	assigned := assign(ids, l.m.job.Recipe.MicroBatches)
	if slices.Equal(assigned, l.plan.assigned) {
		return
	}
	l.plan.version++
	l.plan.assigned = assigned
	l.movedAt = l.m.now
	l.m.note("step %d: plan %d: %s", l.m.keeper.Step(), l.plan.version, describe(assigned))
	for id := range sorted(l.m.workers) {
		l.sendPlan(id)
	}
}

func describe(assigned []assignment) string {
	var b strings.Builder
	for i, a := range assigned {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s [%d,%d)", a.worker, a.low, a.high)
	}
	return b.String()
}

// benchStuck takes blocks away for a while from workers that have owed one for
// long although they say hello: their network or processor may be sick.
func (l *leader) benchStuck(missing []tree.Node) {
	if l.m.now-l.begunAt < max(stuckAfter, 10*l.pace) {
		return
	}
	for _, n := range missing {
		for _, a := range l.plan.assigned {
			w := l.m.workers[a.worker]
			if _, owes := overlap(n, a); owes && w != nil && l.m.now >= w.bench && len(l.plan.assigned) > 1 {
				w.bench = l.m.now + benchFor
				l.m.note("step %d: %s has owed micro-batches for %v; others compute them", l.collect.step, a.worker, l.m.now-l.begunAt)
			}
		}
	}
}

// forget drops workers that have been silent for long.
func (l *leader) forget() {
	for id, w := range l.m.workers {
		if l.m.now-w.at > forgetAfter {
			delete(l.m.workers, id)
		}
	}
}

// helloed answers a worker that does not know the job or the plan.
func (l *leader) helloed(id string) {
	w := l.m.workers[id]
	if w == nil || l.m.keeper == nil || !l.adopted || !l.m.running() {
		return
	}
	if w.job == l.m.job.ID && w.term == l.m.term && w.hello.Plan > l.plan.version {
		// A plan of this term from before the job was paused: the next one must
		// have a higher version to count.
		l.plan.version, l.plan.assigned = w.hello.Plan, nil
	}
	if w.job != l.m.job.ID || (l.plan.version > 0 && (w.hello.Plan != l.plan.version || w.term != l.m.term)) {
		l.sendPlan(id)
	}
}

func (l *leader) sendPlan(id string) {
	p := &api.Plan{
		Version: l.plan.version, Leader: l.m.cfg.Self,
		RecipeHash: l.m.job.Hash[:], Step: uint64(l.m.keeper.Step()),
	}
	for _, a := range l.plan.assigned {
		if a.worker == id {
			p.Low, p.High = uint32(a.low), uint32(a.high)
		}
	}
	l.m.send(bus.WorkerIn(l.m.cfg.Cluster, id), &api.Envelope{Body: &api.Envelope_Plan{Plan: p}}, nil)
}
