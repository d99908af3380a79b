package ps

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"convoy/api"
)

// fault does one bad thing, and mends it within two seconds.
func (w *world) fault() {
	mended := w.between(10*time.Millisecond, 2*time.Second)
	r := w.replicas[w.rng.IntN(len(w.replicas))]
	k := w.workers[w.rng.IntN(len(w.workers))]
	p := &r.process
	if w.chance(0.4) {
		p = &k.process
	}
	faults := []func(){
		func() { p.crash(mended) },
		func() { w.burn(p, mended) },
		func() { w.burn(p, mended) },
		func() { w.forget(r, mended) },
		func() { w.outOfTurn(r) },
		func() { w.natsFails(mended) },
		func() { w.withoutNATS(p, mended, w.chance(0.7), w.chance(0.7)) },
		func() { w.split(r, mended) },
		func() { p.freeze(mended) },
		func() { r.freeze(mended); k.freeze(mended) },
		func() { w.transfer() },
		func() { k.leave(mended) },
		func() { w.diskTrouble(r, mended) },
		func() { r.lag = mended / 8; w.after(mended, func() { r.lag = 0 }) },
		func() { w.powerLoss(mended) },
		func() { w.rollingRestart(mended / 2) },
		func() { k.foreign = true; k.crash(mended) },
		func() { w.unheard(mended) },
		func() { w.leaveBehind(mended) },
		func() { w.pauseJob(mended) },
	}
	kind := w.rng.IntN(len(faults))
	if w.alike {
		kind = w.kind % len(faults)
	}
	faults[kind]()
}

// burn has a process die before one of its next actions.
func (w *world) burn(p *process, back time.Duration) {
	p.fuse, p.back = 1+w.rng.IntN(40), back
	w.trace("%v: %s dies at its %dth action from now", w.now, p.id, p.fuse)
}

// forget is a crash that takes the checkpoints with it. Raft's own disk survives.
func (w *world) forget(r *simReplica, back time.Duration) {
	w.trace("%v: %s loses its checkpoints", w.now, r.id)
	clear(r.disk)
	r.crash(back)
}

// outOfTurn has a replica stand for election although there is a leader.
func (w *world) outOfTurn(r *simReplica) {
	if r.up && r.frozen <= w.now && r.raft.role != raftLeader {
		w.trace("%v: %s stands for election out of turn", w.now, r.id)
		r.raft.campaign()
	}
}

func (w *world) natsFails(d time.Duration) {
	w.trace("%v: NATS is down for %v", w.now, d)
	w.natsDown = true
	w.after(d, func() { w.natsDown = false })
}

// withoutNATS takes NATS from one process, in one direction or both.
func (w *world) withoutNATS(p *process, d time.Duration, deaf, mute bool) {
	w.trace("%v: %s is without NATS for %v: deaf %v, mute %v", w.now, p.id, d, deaf, mute)
	p.deaf, p.mute = p.deaf || deaf, p.mute || mute
	w.after(d, func() { p.deaf, p.mute = false, false })
}

// split cuts a replica off from all others or from one, on Raft's network or on
// all but NATS, in one direction or both.
func (w *world) split(r *simReplica, d time.Duration) {
	nets := []network{raftNet}
	if w.chance(0.5) {
		nets = append(nets, grpcNet)
	}
	o := w.replicas[w.rng.IntN(len(w.replicas))]
	switch {
	case w.chance(0.4) || o == r:
		w.isolate(&r.process, d, nets...)
	case w.chance(0.5):
		w.trace("%v: %s does not reach %s for %v on networks %v", w.now, r.id, o.id, d, nets)
		w.cut(&r.process, &o.process, d, nets...)
	default:
		w.trace("%v: %s and %s are cut off from each other for %v on networks %v", w.now, r.id, o.id, d, nets)
		w.cut(&r.process, &o.process, d, nets...)
		w.cut(&o.process, &r.process, d, nets...)
	}
}

// transfer hands leadership to another replica.
func (w *world) transfer() {
	if l := w.leader(); l != nil {
		l.handOver()
	}
}

// diskTrouble fills a replica's disk for a while, or damages its newest
// checkpoint, which it finds out by its digest when it starts.
func (w *world) diskTrouble(r *simReplica, d time.Duration) {
	if w.chance(0.5) {
		w.trace("%v: the disk of %s is full for %v", w.now, r.id, d)
		r.diskFull = true
		w.after(d, func() { r.diskFull = false })
		return
	}
	newest := -1
	for t := range r.disk {
		newest = max(newest, t)
	}
	if newest >= 0 {
		w.trace("%v: checkpoint %d of %s is damaged", w.now, newest, r.id)
		r.disk[newest].damaged = true
	}
	r.crash(d)
}

// powerLoss takes all replicas' memory.
func (w *world) powerLoss(back time.Duration) {
	w.trace("%v: all replicas lose power", w.now)
	for _, r := range w.replicas {
		r.crash(back + w.between(0, 200*time.Millisecond))
	}
}

// rollingRestart stops replicas one after the other, as a supervisor does that
// waits for each to be back: a leader hands over first, none keeps its memory.
func (w *world) rollingRestart(down time.Duration) {
	w.trace("%v: a rolling restart begins", w.now)
	left := slices.Clone(w.replicas)
	var next func()
	next = func() {
		if len(left) == 0 || w.now > w.healed {
			return
		}
		r := left[0]
		switch head := w.mostAdvanced(); {
		case slices.ContainsFunc(w.replicas, func(o *simReplica) bool { return !o.up || int(o.holds().Step) < head-1 }):
			w.after(50*time.Millisecond, next)
			return
		case r.role.leading && len(w.replicas) > 1:
			r.handOver()
			w.after(200*time.Millisecond, next)
			return
		}
		left = left[1:]
		r.crash(down)
		w.after(50*time.Millisecond, next)
	}
	next()
}

// unheard has a leader publish while no replica hears it, and die.
func (w *world) unheard(d time.Duration) {
	l := w.leader()
	if l == nil {
		return
	}
	for _, r := range w.replicas {
		if r != l {
			w.withoutNATS(&r.process, d+100*time.Millisecond, true, false)
			w.cut(&l.process, &r.process, d+100*time.Millisecond, grpcNet)
		}
	}
	w.after(d, func() { l.crash(w.between(500*time.Millisecond, 3*time.Second)) })
}

// leaveBehind keeps a follower from the gradients, though not from Raft, has the
// leader die and that follower stand for election first.
func (w *world) leaveBehind(d time.Duration) {
	l := w.leader()
	if l == nil || len(w.replicas) < 3 {
		return
	}
	r := w.replicas[(slices.Index(w.replicas, l)+1+w.rng.IntN(len(w.replicas)-1))%len(w.replicas)]
	w.withoutNATS(&r.process, d+100*time.Millisecond, true, true)
	w.isolate(&r.process, d+100*time.Millisecond, grpcNet)
	w.after(d, func() {
		if r.holds().Step+1 < l.holds().Step {
			w.struck++
		}
		l.crash(w.between(500*time.Millisecond, 3*time.Second))
		w.outOfTurn(r)
	})
}

// mostAdvanced is the latest state that a replica holds.
func (w *world) mostAdvanced() int {
	most := 0
	for _, r := range w.replicas {
		most = max(most, int(r.holds().Step))
	}
	return most
}

// cancelJob is a user's.
func (w *world) cancelJob() {
	w.cancel = true
	w.decide("cancels", func(*api.JobRecord) *api.Entry {
		return &api.Entry{Body: &api.Entry_JobCancel{JobCancel: &api.JobCancel{Job: simJob}}}
	})
}

// pauseJob is a user's, who resumes the job after a while.
func (w *world) pauseJob(d time.Duration) {
	w.decide("pauses", func(r *api.JobRecord) *api.Entry {
		return &api.Entry{Body: &api.Entry_JobPause{JobPause: &api.JobPause{Job: simJob, Turn: r.Turn}}}
	})
	w.after(d, w.resumeJob)
}

func (w *world) resumeJob() {
	if w.over() {
		return
	}
	w.decide("resumes", func(r *api.JobRecord) *api.Entry {
		if r.Phase != api.Phase_PHASE_PAUSED && r.Phase != api.Phase_PHASE_PAUSING {
			return nil
		}
		return &api.Entry{Body: &api.Entry_JobResume{JobResume: &api.JobResume{Job: simJob, Turn: r.Turn}}}
	})
	w.after(500*time.Millisecond, w.resumeJob) // a late retry of the pause may have come between
}

// decide has the leader of the day append what a user decided by its record, now
// or later.
func (w *world) decide(does string, entry func(*api.JobRecord) *api.Entry) {
	again := func() { w.decide(does, entry) }
	l := w.leader()
	if l == nil {
		w.after(50*time.Millisecond, again)
		return
	}
	record := l.fsm.record(simJob)
	if record == nil || ended(record.Phase) {
		return
	}
	e := entry(record)
	if e == nil {
		return
	}
	w.trace("%v: a user %s the job", w.now, does)
	e.UnixNanos = int64(w.now)
	b, err := proto.Marshal(e)
	if err != nil {
		panic(err)
	}
	l.raft.append(b, func(err error) {
		if err != nil { // it may have been appended; the client asks again
			w.after(100*time.Millisecond, again)
		}
	})
}
