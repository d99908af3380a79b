package ps

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"convoy/api"
	"convoy/bus"
	"convoy/job"
)

const (
	forgetAfter = time.Minute
	replanEvery = time.Second // at most so often a plan follows the workers' speed
	replanGain  = 0.9         // and if a step gets that much shorter
)

// plan is the standing plan: which worker computes which micro-batches of every
// step, until another plan replaces it.
type plan struct {
	version  uint64
	assigned []assignment
	waiting  string // why nobody is assigned

	step    int           // from which on it stands
	at      time.Duration // when it began to
	workers []string      // whom it was made for
	looked  time.Duration // when it was last compared with the workers' speed
}

// assignment gives micro-batches [low, high) to a worker.
type assignment struct {
	worker    string
	low, high int
}

// eligible are the workers that may be given blocks now, in order.
func (l *leader) eligible() []string {
	var ids []string
	for id, w := range l.m.workers {
		if l.m.now-w.at <= l.m.cfg.Silence && l.m.now-w.level <= max(behindAfter, 4*l.pace) && w.job == l.m.job.ID && w.hello.Ready && w.hello.Problem == "" &&
			w.hello.ArithmeticVersion == job.ArithmeticVersion {
			if _, is := l.m.isQuarantined(id); !is {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	if most := int(l.m.record.Submit.WorkersMax); most > 0 && len(ids) > most {
		ids = ids[:most]
	}
	return ids
}

// replan replaces the standing plan when other workers are there. With none at all
// the old one stands: they may only be silent for a moment.
func (l *leader) replan() {
	l.forget()
	ids := l.eligible()
	least := 1
	if l.plan.version == 0 && l.m.record.Committed == 0 && l.m.keeper.Step() == 0 { // a job that goes on does so with whoever is left
		least = max(least, int(l.m.record.Submit.WorkersMin))
	}
	if len(ids) < least {
		l.plan.waiting = fmt.Sprintf("waiting for workers: %d of %d are ready", len(ids), least)
		return
	}
	l.plan.waiting = ""
	if slices.Equal(ids, l.plan.workers) {
		return
	}
	if text := job.Uneven(l.m.job.Recipe.MicroBatches, len(ids)); text != "" && len(ids) != len(l.plan.workers) {
		l.m.note("%s", text)
	}
	even, _ := l.rate(ids)
	l.stand(ids, l.shares(ids, evenly(even, l.m.job.Recipe.MicroBatches, l.m.job.Recipe.Unit())), l.m.keeper.Step())
}

// retune has the next step's plan follow the speed of its workers, where that is
// worth it. It goes out before the gradient that the workers wait for: in the
// middle of a step they would compute what others have begun.
func (l *leader) retune() {
	next := l.m.keeper.Step() + 1
	if l.m.now-l.plan.looked >= replanEvery && next < l.m.job.Sequence.Len() && slices.Equal(l.eligible(), l.plan.workers) {
		l.stand(l.plan.workers, l.shares(l.plan.workers, l.plan.assigned), next)
	}
}

// stand makes a plan the standing one from a step on.
func (l *leader) stand(ids []string, assigned []assignment, step int) {
	l.plan.workers, l.plan.looked = ids, l.m.now
	if slices.Equal(assigned, l.plan.assigned) {
		return
	}
	l.plan.version++
	l.plan.assigned, l.plan.at, l.plan.step = assigned, l.m.now, step
	l.movedAt = l.m.now
	l.m.note("step %d: plan %d: %s", step, l.plan.version, describe(assigned))
	for id := range sorted(l.m.workers) {
		l.sendPlan(id)
	}
}

// shares are the workers' ranges: the given ones, unless others make a step
// shorter by enough.
func (l *leader) shares(ids []string, given []assignment) []assignment {
	workers, known := l.rate(ids)
	if !known || l.collect == nil {
		return given
	}
	wire := l.wireOf(len(l.m.keeper.State().Params))
	if better := divide(workers, l.m.job.Recipe.MicroBatches, l.m.job.Recipe.Unit(), wire); slowest(better, workers, wire) <= replanGain*slowest(given, workers, wire) {
		return better
	}
	return given
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
		l.plan.version, l.plan.assigned, l.plan.workers = w.hello.Plan, nil, nil
	}
	if w.job != l.m.job.ID || (l.plan.version > 0 && (w.hello.Plan != l.plan.version || w.term != l.m.term)) {
		l.sendPlan(id)
	}
}

func (l *leader) sendPlan(id string) {
	p := &api.Plan{
		Version: l.plan.version, Leader: l.m.cfg.Self,
		RecipeHash: l.m.job.Hash[:], Step: uint64(max(l.plan.step, l.m.keeper.Step())),
	}
	for _, a := range l.plan.assigned {
		if a.worker == id {
			p.Low, p.High = uint32(a.low), uint32(a.high)
		}
	}
	l.m.send(bus.WorkerIn(l.m.cfg.Cluster, id), &api.Envelope{Body: &api.Envelope_Plan{Plan: p}}, nil)
}
