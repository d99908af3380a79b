package ps

import (
	"errors"
	"fmt"
	"time"

	"convoy/api"
	"convoy/state"
	"convoy/worker"
)

// simWorker is a worker's shell around its machine.
type simWorker struct {
	process
	machine *worker.Machine
	job     *state.Job // joined: its gradients are listened to
	foreign bool       // the next state that it fetches is of another history
	strange bool       // it has gone on from one
	slow    int        // times slower than others; 0: not at all
	wrong   float64    // share of its results that have a bit flipped
}

func newSimWorker(w *world, id string) *simWorker {
	k := &simWorker{process: process{w: w, id: id}}
	k.boot, k.die = k.start, func() { k.job = nil }
	return k
}

func (k *simWorker) start() {
	k.begin()
	k.job, k.strange = nil, false
	k.machine = worker.NewMachine(worker.MachineConfig{
		Cluster: simCluster, Self: k.id, Incarnation: fmt.Sprint(k.id, k.life), Threads: 1, ChunkFloats: k.w.chunk,
		Rules: k.w.plot.workerRules,
	})
	k.every(tickEvery, func() { k.step(worker.Tick{}) })
}

// leave says goodbye before it goes.
func (k *simWorker) leave(back time.Duration) {
	if k.up {
		k.w.trace("%v: %s leaves", k.w.now, k.id)
		k.step(worker.Leave{})
		k.crash(back)
	}
}

func (k *simWorker) step(ev worker.Event) {
	for _, a := range k.machine.Step(k.clock(), ev) {
		if k.dies(a) {
			return
		}
		k.carryOut(a)
	}
	k.w.holds.workerMemory(k)
}

func (k *simWorker) carryOut(a worker.Action) {
	w := k.w
	switch a := a.(type) {
	case worker.Send:
		k.publish(a.Subject, a.Message)
	case worker.Note:
		w.trace("%v: %s notes: %s", w.now, k.id, a.Text)
	case worker.Join:
		k.ask(func(r *simReplica) func() {
			if r.machine == nil {
				return nil
			}
			return func() {
				k.job = state.NewJob(a.Job, w.recipe)
				k.step(worker.Joined{ID: a.Job, Job: k.job})
			}
		}, func() { k.step(worker.Joined{ID: a.Job, Err: errNobody}) })
	case worker.Drop:
		k.job = nil
	case worker.FetchState:
		k.fetchState(a)
	case worker.FetchGradient:
		k.ask(func(r *simReplica) func() {
			g := r.known(a.Step)
			if g == nil {
				return nil
			}
			return func() { k.step(worker.FetchedGradient{Job: a.Job, Gradient: g}) }
		}, func() { k.step(worker.FetchedGradient{Job: a.Job, Err: errNobody}) })
	case worker.Locate:
		k.ask(func(r *simReplica) func() {
			answer := &api.HeldResponse{Replica: r.id, Leader: r.role.leader, Term: r.role.term}
			return func() { k.step(worker.Located{Response: answer}) }
		}, func() {})
	case worker.Compute:
		same := a.State.Digest() == w.want[a.Step].digest
		if k.strange = k.strange && !same; !same && !k.strange {
			w.violated("I2: %s computes on another state %d", k.id, a.Step)
		}
		k.compute(a, 0)
	default:
		panic(fmt.Sprintf("sim: unknown action %T", a))
	}
}

// fetchState joins; a replica of another history may stand in for ours, whose
// memory failed before it was replaced: all it says fits, and the chain differs.
func (k *simWorker) fetchState(a worker.FetchState) {
	k.ask(func(r *simReplica) func() {
		if r.machine == nil || r.machine.Keeper() == nil {
			return nil
		}
		c := r.machine.Keeper().Copy()
		strange := false
		if k.foreign && c.Step > 0 {
			k.w.trace("%v: %s joins at state %d of another history", k.w.now, k.id, c.Step)
			k.foreign, strange = false, true
			k.w.struck++
			c.State.Params[3] += 1
			c.Chain[0]++
		}
		return func() {
			k.strange = k.strange || strange
			k.step(worker.FetchedState{Job: a.Job, Copy: c})
		}
	}, func() { k.step(worker.FetchedState{Job: a.Job, Err: errNobody}) })
}

var errNobody = errors.New("no replica has it")

// ask tries the replicas in turn from a random one on. give runs at the replica
// and returns nil where it cannot help.
func (k *simWorker) ask(give func(*simReplica) func(), failed func()) {
	k.askNext(k.w.rng.IntN(len(k.w.replicas)), len(k.w.replicas), give, failed)
}

func (k *simWorker) askNext(at, left int, give func(*simReplica) func(), failed func()) {
	if left == 0 {
		failed()
		return
	}
	next := func() { k.askNext(at+1, left-1, give, failed) }
	r := k.w.replicas[at%len(k.w.replicas)]
	k.call(&r.process, 10*time.Second, func() func() {
		if do := give(r); do != nil {
			return do
		}
		return next
	}, next)
}

// compute reads the state when each node is done: whoever writes to it
// meanwhile is found out.
func (k *simWorker) compute(c worker.Compute, i int) {
	if i == len(c.Nodes) {
		k.step(worker.Idle{})
		return
	}
	j := k.job
	k.later(time.Duration(max(k.slow, 1))*k.w.between(time.Millisecond, 40*time.Millisecond), func() {
		if c.State.Digest() != k.w.want[c.Step].digest && !k.strange {
			k.w.violated("%s: state %d changed while it was computed on", k.id, c.Step)
		}
		data, sums := simPartial(j, c.Step, c.Nodes[i], c.State.Params)
		if k.wrong > 0 && k.w.chance(k.wrong) {
			spoil(data, &sums)
		}
		k.step(worker.Computed{Step: c.Step, Node: c.Nodes[i], Data: data, Sums: sums})
		k.compute(c, i+1)
	})
}
