package ps

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"convoy/api"
	"convoy/bus"
	"convoy/job"
	"convoy/worker"
)

// world is a whole cluster in one goroutine and one seed: the replicas' and the
// workers' machines with the real control FSM, and models of what lies between
// and beneath them. Each replica has a Raft node of its own, NATS loses, delays,
// reorders and repeats messages, gRPC is slow or fails, networks split, disks fill
// and forget, and processes freeze, die between any two of their actions, and come
// back without their memory.
type world struct {
	plot     plot
	rng      *rand.Rand
	now      time.Duration
	queue    agenda
	count    int // of things done so far
	trouble  bool
	healed   time.Duration // since when everything is well
	natsDown bool
	lastAt   map[route]time.Duration
	cuts     map[wire]bool
	aim      func(p *process, action any) (dies bool) // a scenario's, before every action
	struck   int                                      // faults of the scenario that came about
	alike    bool                                     // all faults are of one kind: others might hide what it does
	kind     int                                      // and which
	flips    bool                                     // fetched gradients may come damaged
	cancel   bool                                     // a user has cancelled the job

	recipe   job.Recipe
	chunk    int
	want     []truth
	replicas []*simReplica
	workers  []*simWorker
	holds    *invariants
	trace    func(format string, args ...any)
}

const simJob, simCluster = "job-1", "sim"

// process is what can be killed, frozen or cut off.
type process struct {
	w         *world
	id        string
	up        bool
	life      int // counts starts: what was begun in an earlier life is void
	started   time.Duration
	frozen    time.Duration // until when it does nothing
	deaf      bool          // NATS brings it nothing
	mute      bool          // NATS takes nothing from it
	fuse      int           // it dies before this action from now on; 0: it does not
	back      time.Duration // and is back so long after
	boot      func()
	die       func()
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

// begin starts a life: boot does the rest.
func (p *process) begin() {
	p.up, p.started, p.fuse, p.frozen = true, p.w.now, 0, 0
	p.life++
	for _, f := range p.onRestart {
		p.w.after(time.Millisecond, f)
	}
	p.onRestart = nil
	p.w.trace("%v: %s starts", p.w.now, p.id)
}

// crash ends a life; the process is back after a while.
func (p *process) crash(back time.Duration) {
	if !p.up {
		return
	}
	p.w.trace("%v: %s is killed", p.w.now, p.id)
	p.up = false
	p.die()
	p.w.holds.served()
	p.w.after(back, func() {
		if !p.up {
			p.boot()
		}
	})
}

// dies ends the process before an action where its fuse or the scenario says so.
func (p *process) dies(action any) bool {
	gone := p.w.aim != nil && p.w.aim(p, action)
	if p.fuse > 0 {
		p.fuse--
		gone = gone || p.fuse == 0
	}
	if gone {
		p.crash(max(p.back, 10*time.Millisecond))
	}
	return !p.up
}

func (p *process) freeze(d time.Duration) {
	p.w.trace("%v: %s freezes for %v", p.w.now, p.id, d)
	p.frozen = p.w.now + d
}

func (p *process) clock() time.Duration { return p.w.now - p.started }

// every runs do at a period for the rest of this life.
func (p *process) every(period time.Duration, do func()) {
	p.later(period, func() { do(); p.every(period, do) })
}

// wire is a direction between two processes on one of the networks.
type wire struct {
	from, to string
	net      network
}

type network int

const (
	raftNet network = iota
	grpcNet
)

// cut takes networks between two processes away, in one direction.
func (w *world) cut(from, to *process, d time.Duration, nets ...network) {
	for _, n := range nets {
		key := wire{from.id, to.id, n}
		w.cuts[key] = true
		w.after(d, func() { delete(w.cuts, key) })
	}
}

// isolate cuts a process off from all others in both directions.
func (w *world) isolate(p *process, d time.Duration, nets ...network) {
	w.trace("%v: %s is cut off for %v on networks %v", w.now, p.id, d, nets)
	for _, o := range w.processes() {
		if o != p {
			w.cut(p, o, d, nets...)
			w.cut(o, p, d, nets...)
		}
	}
}

func (w *world) open(from, to *process, n network) bool { return !w.cuts[wire{from.id, to.id, n}] }

func (w *world) processes() []*process {
	var all []*process
	for _, r := range w.replicas {
		all = append(all, &r.process)
	}
	for _, k := range w.workers {
		all = append(all, &k.process)
	}
	return all
}

// call asks target something over gRPC. ask runs there and returns what runs
// here; failed runs where there is no answer: at once, or when the call has hung
// for long. A cut network holds both ways up, as TCP does, until it is mended.
func (p *process) call(target *process, limit time.Duration, ask func() func(), failed func()) {
	answered := false
	end := func() {
		if !answered {
			answered = true
			p.later(time.Millisecond, failed)
		}
	}
	p.w.after(limit, end)
	ends := func(do func()) {
		if !answered {
			answered = true
			do()
		}
	}
	p.across(p, target, func() {
		if !target.up && p.w.chance(0.5) {
			end()
			return
		}
		target.onRestart = append(target.onRestart, end)
		if target.up {
			target.later(0, func() {
				if answered {
					return
				}
				answer := ask()
				p.across(target, p, func() { p.later(0, func() { ends(answer) }) })
			})
		}
	})
}

// across runs do once a message has gone from one process to another over gRPC.
func (p *process) across(from, to *process, do func()) {
	p.w.after(p.w.between(200*time.Microsecond, 3*time.Millisecond), func() {
		if p.w.open(from, to, grpcNet) {
			do()
		} else {
			p.w.after(50*time.Millisecond, func() { p.across(from, to, do) })
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
	if w.natsDown || p.mute {
		return
	}
	gradients := subject == bus.Gradients(simCluster, simJob)
	for _, r := range w.replicas {
		if subject == bus.ReplicaIn(simCluster, r.id) || m.GetHello() != nil || (gradients && r.machine != nil) {
			w.deliver(p, &r.process, subject, m, func() { r.received(m) })
		}
	}
	for _, k := range w.workers {
		if subject == bus.WorkerIn(simCluster, k.id) || (gradients && k.job != nil) {
			w.deliver(p, &k.process, subject, m, func() { k.step(worker.Received{Message: m}) })
		}
	}
}

// route is where NATS keeps the order: one connection of a sender, one
// subscription of a receiver.
type route struct {
	from, to *process
	subject  string
	bulk     bool
}

func (w *world) deliver(from, to *process, subject string, m bus.Message, do func()) {
	if !to.up || (w.trouble && w.chance(0.01)) {
		return
	}
	at := w.now + w.between(100*time.Microsecond, 2*time.Millisecond)
	if w.trouble && w.chance(0.02) {
		at += w.between(0, 300*time.Millisecond)
	}
	key := route{from, to, subject, m.GetPartial() != nil || m.GetGradient() != nil}
	at = max(at, w.lastAt[key])
	w.lastAt[key] = at
	arrive := func() {
		if !w.natsDown && !to.deaf {
			do()
		}
	}
	to.later(at-w.now, arrive)
	if w.trouble && w.chance(0.02) {
		to.later(at-w.now+w.between(0, 100*time.Millisecond), arrive)
	}
}

func (w *world) replica(id string) *simReplica {
	i := slices.IndexFunc(w.replicas, func(r *simReplica) bool { return r.id == id })
	return w.replicas[i]
}

// leader is the replica that leads as far as it knows, the newest of them; nil
// without one.
func (w *world) leader() *simReplica {
	var newest *simReplica
	for _, r := range w.replicas {
		if r.up && r.role.leading && (newest == nil || r.role.term > newest.role.term) {
			newest = r
		}
	}
	return newest
}

func (w *world) violated(format string, args ...any) {
	w.holds.broken = append(w.holds.broken, fmt.Sprintf("%v: ", w.now)+fmt.Sprintf(format, args...))
}

// gradientChunk returns the chunk of a gradient that an action publishes.
func gradientChunk(action any) *api.Gradient {
	if s, ok := action.(Send); ok {
		return s.Message.GetGradient()
	}
	return nil
}
