package kernels

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// patience bounds how long a goroutine looks for work, or for others to finish
// theirs, before it parks. It takes tens of microseconds to come back from there,
// perhaps on the core of whoever woke it, and finds the others parked then: with
// 10 µs LeNet's step took 8 to 10 % longer. Between two looks at the clock any
// other goroutine has its turn.
const (
	patience = 500 * time.Microsecond
	looks    = 200 // between two looks at the clock
)

// await reports whether done becomes true before patience ends.
func await(done func() bool) bool {
	for begin := time.Now(); ; runtime.Gosched() {
		for range looks {
			if done() {
				return true
			}
		}
		if time.Since(begin) > patience {
			return false
		}
	}
}

// A Pool runs the tasks of one operation at a time on a fixed set of goroutines:
// the caller and threads−1 others, which live until Close. It also owns the
// scratch memory and tables of the operations run on it, so that a second call
// with the same shape allocates nothing.
//
// A Pool serves one caller at a time. Nobody waits for a goroutine that has not
// begun: on a busy machine the caller does all the work itself.
type Pool struct {
	threads int
	job     job          // of the run that gate has open
	tasks   int64        // how many tasks it has
	next    atomic.Int64 // the first task that nobody has taken
	busy    atomic.Bool

	// gate is generation<<gateShift | open | helpers inside. A helper enters a
	// run by counting itself in while the gate is open; the caller closes it
	// when the tasks are used up and waits for those inside alone.
	gate    atomic.Uint64
	helpers []helper
	waiting atomic.Bool   // the caller parks on left
	left    chan struct{} // told by the last helper to leave
	failed  atomic.Pointer[failure]
	closed  atomic.Bool
	exited  sync.WaitGroup

	scratch [][]float32 // of each thread
	locals  []local
	ops     operations
}

const (
	gateOpen   = 1 << 15
	gateInside = gateOpen - 1
	gateShift  = 16
)

// A job is what the goroutines of a pool do: do is called once for each task,
// from any thread; thread is below Threads and no two calls with the same one
// run at a time.
type job interface{ do(thread, task int) }

type funcJob func(task int)

func (f funcJob) do(_, task int) { f(task) }

// A helper is one of the pool's goroutines, as its caller sees it.
type helper struct {
	parked atomic.Bool
	wake   chan struct{}
}

type failure struct{ value any }

// NewPool returns a pool of threads goroutines, the caller of Run included; at
// least one. Close ends the others.
func NewPool(threads int) *Pool {
	if threads < 1 || threads > gateInside {
		panic(fmt.Sprintf("kernels: a pool of %d threads", threads))
	}
	p := &Pool{
		threads: threads,
		helpers: make([]helper, threads-1),
		left:    make(chan struct{}, 1),
		scratch: make([][]float32, threads),
		locals:  make([]local, threads),
	}
	p.exited.Add(len(p.helpers))
	for i := range p.helpers {
		p.helpers[i].wake = make(chan struct{}, 1)
		go p.help(i)
	}
	return p
}

// Threads is the number of goroutines that share the work.
func (p *Pool) Threads() int { return p.threads }

// Close ends the pool's goroutines and returns when they are gone. No operation
// may run then or afterwards.
func (p *Pool) Close() {
	p.closed.Store(true)
	p.wakeAll()
	p.exited.Wait()
}

// Run calls f(0) … f(tasks−1), in any order and several at a time, and returns
// after the last. It panics with the value of a task that panicked; tasks that
// had not begun by then are left out.
func (p *Pool) Run(tasks int, f func(task int)) {
	p.run(tasks, funcJob(f))
}

// run is Run for a job that the pool or its caller keeps, so that no closure is
// allocated.
func (p *Pool) run(tasks int, j job) {
	if !p.busy.CompareAndSwap(false, true) {
		panic("kernels: a pool serves one caller at a time: use one pool for each")
	}
	defer p.busy.Store(false)
	if p.threads == 1 || tasks <= 1 {
		for i := range tasks {
			j.do(0, i)
		}
		return
	}
	p.job, p.tasks = j, int64(tasks)
	p.next.Store(0)
	p.gate.Store((p.gate.Load()>>gateShift+1)<<gateShift | gateOpen)
	p.wakeAll()
	p.work(0)
	p.shut()
	p.job = nil
	if f := p.failed.Swap(nil); f != nil {
		panic(f.value)
	}
}

// work takes tasks until there are none.
func (p *Pool) work(thread int) {
	defer func() {
		if v := recover(); v != nil {
			p.failed.CompareAndSwap(nil, &failure{v})
			p.next.Store(p.tasks)
		}
	}()
	for {
		t := p.next.Add(1) - 1
		if t >= p.tasks {
			return
		}
		p.job.do(thread, int(t))
	}
}

// shut closes the gate and waits for the helpers inside.
func (p *Pool) shut() {
	for {
		g := p.gate.Load()
		if p.gate.CompareAndSwap(g, g&^gateOpen) {
			break
		}
	}
	empty := func() bool { return p.gate.Load()&gateInside == 0 }
	if await(empty) {
		return
	}
	p.waiting.Store(true)
	// Either the last helper to leave sees waiting and tells, or it left before
	// and waiting is taken back; whoever turns it off decides which.
	if !empty() || !p.waiting.CompareAndSwap(true, false) {
		<-p.left
	}
}

func (p *Pool) wakeAll() {
	for i := range p.helpers {
		h := &p.helpers[i]
		if h.parked.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
}

// help is the life of helper i.
func (p *Pool) help(i int) {
	defer p.exited.Done()
	var seen uint64 // generation of the last run it was in
	for {
		if !p.enter(&seen) {
			if p.closed.Load() {
				return
			}
			p.park(&p.helpers[i], seen)
			continue
		}
		p.work(i + 1)
		p.leave()
	}
}

// enter looks for a run that is new and open and counts the helper in; false
// means that there was none for a while, or that the pool closes.
func (p *Pool) enter(seen *uint64) (entered bool) {
	await(func() bool {
		g := p.gate.Load()
		if p.news(g, *seen) && p.gate.CompareAndSwap(g, g+1) {
			*seen, entered = g>>gateShift, true
		}
		return entered || p.closed.Load()
	})
	return entered
}

func (p *Pool) news(gate, seen uint64) bool {
	return gate&gateOpen != 0 && gate>>gateShift != seen
}

func (p *Pool) leave() {
	if p.gate.Add(^uint64(0))&(gateOpen|gateInside) == 0 && p.waiting.CompareAndSwap(true, false) {
		p.left <- struct{}{}
	}
}

// park sleeps until wakeAll, unless there is something to do already.
func (p *Pool) park(h *helper, seen uint64) {
	h.parked.Store(true)
	if (p.news(p.gate.Load(), seen) || p.closed.Load()) && h.parked.CompareAndSwap(true, false) {
		return
	}
	<-h.wake
}
