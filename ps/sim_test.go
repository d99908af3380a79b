package ps

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"convoy/bus"
	"convoy/digest"
	"convoy/job"
	"convoy/worker"
)

// world is a whole cluster in one goroutine and one seed: the replicas' and the
// workers' machines with the real control FSM, and models of what lies between
// them. Raft is a log in order with a leader that changes, NATS loses, delays
// and repeats messages, gRPC is slow or fails, and processes freeze, die with
// their memory and come back.
type world struct {
	rng      *rand.Rand
	now      time.Duration
	queue    agenda
	count    int // of things done so far
	trouble  bool
	natsDown bool
	lastAt   map[string]time.Duration // order on the bus: sender, receiver and kind → last delivery

	recipe   job.Recipe
	chunk    int
	want     []truth
	replicas []*simReplica
	workers  []*simWorker
	log      simLog
	broken   []string // invariants that did not hold
	trace    func(format string, args ...any)
}

// truth is state t as one process without faults computes it.
type truth struct {
	chain  digest.Sum
	digest digest.Sum
}

const simJob, simCluster = "job-1", "sim"

// process is what can be killed or frozen.
type process struct {
	w         *world
	id        string
	up        bool
	life      int // counts starts: what was begun in an earlier life is void
	started   time.Duration
	frozen    time.Duration // until when it does nothing
	natsDown  bool
	onRestart []func() // calls that hang until the process is back
}

type task struct {
	at  time.Duration
	seq int
	do  func()
}

type agenda []task

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || (a[i].at == a[j].at && a[i].seq < a[j].seq)
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(task)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

func (w *world) after(d time.Duration, do func()) {
	w.count++
	heap.Push(&w.queue, task{w.now + d, w.count, do})
}

func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rng.Int64N(int64(high-low)))
}

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

func (w *world) violated(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf("%v: ", w.now)+fmt.Sprintf(format, args...))
}

// later runs do in this life of the process; a frozen one does it when it thaws.
func (p *process) later(d time.Duration, do func()) {
	life := p.life
	var run func()
	run = func() {
		switch {
		case !p.up || p.life != life:
		case p.frozen > p.w.now:
			p.w.after(p.frozen-p.w.now, run)
		default:
			do()
		}
	}
	p.w.after(d, run)
}

func (p *process) begin() {
	p.up, p.started = true, p.w.now
	p.life++
	for _, f := range p.onRestart {
		p.w.after(time.Millisecond, f)
	}
	p.onRestart = nil
}

func (p *process) clock() time.Duration { return p.w.now - p.started }

// every runs do at a period for the rest of this life.
func (p *process) every(period time.Duration, do func()) {
	p.later(period, func() { do(); p.every(period, do) })
}

// call asks target something over gRPC. ask runs there, answer here; answer gets
// ok = false where the target is down, at once or when the call has hung for
// long.
func (p *process) call(target *process, limit time.Duration, ask func() func(), failed func()) {
	p.later(p.w.between(200*time.Microsecond, 3*time.Millisecond), func() {
		switch {
		case !target.up && p.w.chance(0.5):
			p.later(time.Millisecond, failed)
		default:
			answered := false
			end := func() { // it died or froze with the call
				if !answered {
					answered = true
					p.later(time.Millisecond, failed)
				}
			}
			target.onRestart = append(target.onRestart, end)
			p.w.after(limit, end)
			if target.up {
				target.later(0, func() {
					if !answered {
						answered = true
						p.later(p.w.between(200*time.Microsecond, 5*time.Millisecond), ask())
					}
				})
			}
		}
	})
}

// publish hands a message to everybody who listens, with the bus's promises and
// no more.
func (p *process) publish(subject string, m bus.Message) {
	w := p.w
	if err := m.Check(); err != nil {
		w.violated("%s publishes a bad message: %v", p.id, err)
	}
	if w.natsDown || p.natsDown {
		return
	}
	for _, r := range w.replicas {
		if subject == bus.ReplicaIn(simCluster, r.id) || m.GetHello() != nil || (subject == bus.Gradients(simCluster, simJob) && r.machine != nil) {
			w.deliver(p, &r.process, m, func() { r.received(m) })
		}
	}
	for _, k := range w.workers {
		if subject == bus.WorkerIn(simCluster, k.id) || (subject == bus.Gradients(simCluster, simJob) && k.job != nil) {
			w.deliver(p, &k.process, m, func() { k.step(worker.Received{Message: m}) })
		}
	}
}

func (w *world) deliver(from, to *process, m bus.Message, do func()) {
	if !to.up || (w.trouble && w.chance(0.01)) {
		return
	}
	at := w.now + w.between(100*time.Microsecond, 2*time.Millisecond)
	if w.trouble && w.chance(0.02) {
		at += w.between(0, 300*time.Millisecond)
	}
	bulk := m.GetPartial() != nil || m.GetGradient() != nil
	key := fmt.Sprint(from.id, to.id, bulk)
	at = max(at, w.lastAt[key])
	w.lastAt[key] = at
	arrive := func() {
		if !w.natsDown && !to.natsDown {
			do()
		}
	}
	to.later(at-w.now, arrive)
	if w.trouble && w.chance(0.02) {
		to.later(at-w.now+w.between(0, 100*time.Millisecond), arrive)
	}
}

// simLog is Raft: entries in one order, appended by the leader of the day while
// a majority is up.
type simLog struct {
	entries []*raft.Log
	term    uint64
	leader  string
	voting  bool
}

func (w *world) majorityUp() bool {
	n := 0
	for _, r := range w.replicas {
		if r.up && r.frozen <= w.now {
			n++
		}
	}
	return n > len(w.replicas)/2
}

// vote elects a leader once a majority is there for it.
func (w *world) vote(delay time.Duration) {
	if w.log.voting {
		return
	}
	w.log.voting = true
	w.after(delay, func() {
		w.log.voting = false
		var ready []*simReplica
		for _, r := range w.replicas {
			if r.up && r.frozen <= w.now {
				ready = append(ready, r)
			}
		}
		if len(ready) <= len(w.replicas)/2 {
			w.vote(w.between(100*time.Millisecond, 400*time.Millisecond))
			return
		}
		leader := ready[w.rng.IntN(len(ready))]
		w.log.term++
		w.log.leader = leader.id
		w.trace("%v: %s is elected in term %d", w.now, leader.id, w.log.term)
		for _, r := range w.replicas {
			r.learnRole()
		}
	})
}

func (w *world) replica(id string) *simReplica {
	i := slices.IndexFunc(w.replicas, func(r *simReplica) bool { return r.id == id })
	return w.replicas[i]
}
