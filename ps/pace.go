package ps

import (
	"slices"
	"time"

	"convoy/state"
	"convoy/tree"
)

const (
	// wireSpeed is what a carrier is taken for, in bytes a second, until it has
	// carried something long enough to tell.
	wireSpeed = 1e9
	// paceLasts is how long a measurement says something of a worker that is given
	// no blocks: after that it is tried again.
	paceLasts = 30 * time.Second
)

// pace is how fast a worker has been lately: the seconds that an example costs
// it, apart for training steps and evaluations; 0 while nothing is known. It
// includes the way of the messages, and leaves out the gradients' bytes.
type pace struct {
	train, evaluate float64
	at              time.Duration // when it was last measured
}

func (p *pace) of(evaluation bool) *float64 {
	if evaluation {
		return &p.evaluate
	}
	return &p.train
}

// note takes a measurement. One long pause does not make a worker a slow one.
func (p *pace) note(now time.Duration, evaluation bool, each float64) {
	p.at = now
	known := p.of(evaluation)
	if *known == 0 {
		*known = each
		return
	}
	*known += (min(each, 4**known) - *known) / 8
}

// timing is what the leader watches of one step, to know who is late.
type timing struct {
	begun time.Duration            // when its workers could begin
	heard map[string]time.Duration // when a worker last brought a chunk
	whole map[string]bool          // workers that have brought all that the plan gives them
	load  map[string]time.Duration // when a worker should be done with what else it was asked for
}

func (l *leader) beginTiming() {
	l.timing = timing{begun: l.m.now, heard: map[string]time.Duration{}, whole: map[string]bool{}, load: map[string]time.Duration{}}
}

// began is when workers could begin with the step: the gradient before it was
// out, and the plan that gives them their blocks.
func (l *leader) began() time.Duration {
	if len(l.fan.queue) > 0 {
		return l.m.now
	}
	return max(l.timing.begun, l.fan.endedAt, l.plan.at)
}

func (l *leader) evaluates() bool { return l.m.job.Sequence.At(l.collect.step).Evaluation }

// wire is how many seconds a node of the step takes on its way.
func (l *leader) wire() float64 { return l.wireOf(l.collect.floats) }

func (l *leader) wireOf(floats int) float64 {
	speed := l.collect.speed
	if speed == 0 {
		speed = wireSpeed
	}
	return float64(4*floats) / speed
}

// brought notes that a worker has brought a chunk, and measures it when that was
// the last of its block.
func (l *leader) brought(id string) {
	l.timing.heard[id] = l.m.now
	i := slices.IndexFunc(l.plan.assigned, func(a assignment) bool { return a.worker == id })
	if i < 0 || l.timing.whole[id] {
		return
	}
	a := l.plan.assigned[i]
	for _, n := range tree.Cover(a.low, a.high) {
		if !l.collect.brought(id, n) {
			return
		}
	}
	l.timing.whole[id] = true
	l.measure(a)
}

// measure takes the time that has passed for what the worker needs for its block.
func (l *leader) measure(a assignment) {
	w := l.m.workers[a.worker]
	examples := state.Examples(l.m.job.Sequence, l.collect.step, a.low, a.high)
	took := (l.m.now - l.began()).Seconds()
	if w == nil || examples == 0 || took <= 0 || l.plan.at > l.timing.begun {
		return // with a plan that came in the middle of the step it may have had its results before
	}
	took = max(took-l.wire()*float64(nodes(a.low, a.high)), took/4)
	w.pace.note(l.m.now, l.evaluates(), took/float64(examples))
}

// overtaken measures those whose blocks others have computed meanwhile: they have
// taken at least so long.
func (l *leader) overtaken() {
	for _, a := range l.plan.assigned {
		if !l.timing.whole[a.worker] && l.m.now-l.began() > l.expected(a.worker, a.low, a.high) {
			l.measure(a)
		}
	}
}

// expected is how long a worker should take for [low, high) of the step, as long
// as the slowest where it is not known itself; 0 where nothing is known of anyone.
func (l *leader) expected(id string, low, high int) time.Duration {
	evaluation := l.evaluates()
	each := 0.0
	if w := l.m.workers[id]; w != nil {
		each = *w.pace.of(evaluation)
	}
	if each == 0 {
		for _, w := range l.m.workers {
			each = max(each, *w.pace.of(evaluation))
		}
	}
	if each == 0 {
		return 0
	}
	examples := state.Examples(l.m.job.Sequence, l.collect.step, low, high)
	return time.Duration((each*float64(examples) + l.wire()*float64(nodes(low, high))) * float64(time.Second))
}

// rate gives workers the seconds that a micro-batch of a training step costs
// them; one that is not known is taken for an average one. ok is false where
// nothing is known of anyone.
func (l *leader) rate(ids []string) (workers []rated, ok bool) {
	var known []float64
	for _, id := range ids {
		p := &l.m.workers[id].pace
		if l.m.now-p.at > paceLasts {
			p.train = 0
		}
		if p.train > 0 {
			known = append(known, p.train)
		}
	}
	slices.Sort(known)
	perBatch := float64(l.m.job.Recipe.Batch) / float64(l.m.job.Recipe.MicroBatches)
	for _, id := range ids {
		each := l.m.workers[id].pace.train
		if each == 0 && len(known) > 0 {
			each = known[(len(known)-1)/2]
		}
		workers = append(workers, rated{id, each * perBatch})
	}
	return workers, len(known) > 0
}
