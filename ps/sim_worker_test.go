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
}

func (k *simWorker) start() {
	k.begin()
	k.w.trace("%v: %s starts", k.w.now, k.id)
	k.job = nil
	k.machine = worker.NewMachine(worker.MachineConfig{
		Cluster: simCluster, Self: k.id, Incarnation: fmt.Sprint(k.id, k.life), Threads: 1, ChunkFloats: k.w.chunk,
	})
	k.every(tickEvery, func() { k.step(worker.Tick{}) })
}

func (k *simWorker) kill() {
	k.w.trace("%v: %s is killed", k.w.now, k.id)
	k.up, k.job = false, nil
}

func (k *simWorker) step(ev worker.Event) {
	for _, a := range k.machine.Step(k.clock(), ev) {
		k.carryOut(a)
	}
}

func (k *simWorker) carryOut(a worker.Action) {
	w := k.w
	switch a := a.(type) {
	case worker.Send:
		k.publish(a.Subject, a.Message)
	case worker.Note:
		w.trace("%v: %s notes: %s", w.now, k.id, a.Text)
	case worker.Join:
		k.ask(0, func(r *simReplica) func() {
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
		k.ask(0, func(r *simReplica) func() {
			if r.machine == nil || r.machine.Keeper() == nil {
				return nil
			}
			c := r.machine.Keeper().Copy()
			return func() { k.step(worker.FetchedState{Job: a.Job, Copy: c}) }
		}, func() { k.step(worker.FetchedState{Job: a.Job, Err: errNobody}) })
	case worker.FetchGradient:
		k.ask(0, func(r *simReplica) func() {
			if r.machine == nil {
				return nil
			}
			g := r.machine.known(a.Step)
			if g == nil {
				return nil
			}
			return func() { k.step(worker.FetchedGradient{Job: a.Job, Gradient: g}) }
		}, func() { k.step(worker.FetchedGradient{Job: a.Job, Err: errNobody}) })
	case worker.Locate:
		k.ask(0, func(r *simReplica) func() {
			answer := &api.HeldResponse{Replica: r.id, Leader: r.role.leader, Term: r.role.term}
			return func() { k.step(worker.Located{Response: answer}) }
		}, func() {})
	case worker.Compute:
		if a.State.Digest() != w.want[a.Step].digest {
			w.violated("I2: %s computes on another state %d", k.id, a.Step)
		}
		k.compute(a, 0)
	default:
		panic(fmt.Sprintf("sim: unknown action %T", a))
	}
}

var errNobody = errors.New("no replica has it")

// ask tries the replicas in turn from a random one on. give runs at the replica
// and returns nil where it cannot help.
func (k *simWorker) ask(tried int, give func(*simReplica) func(), failed func()) {
	if tried == len(k.w.replicas) {
		failed()
		return
	}
	first := k.w.rng.IntN(len(k.w.replicas))
	next := func() { k.ask(tried+1, give, failed) }
	r := k.w.replicas[(first+tried)%len(k.w.replicas)]
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
	k.later(k.w.between(time.Millisecond, 40*time.Millisecond), func() {
		if c.State.Digest() != k.w.want[c.Step].digest {
			k.w.violated("%s: state %d changed while it was computed on", k.id, c.Step)
		}
		data, sums := simPartial(k.job, c.Step, c.Nodes[i], c.State.Params)
		k.step(worker.Computed{Step: c.Step, Node: c.Nodes[i], Data: data, Sums: sums})
		k.compute(c, i+1)
	})
}
