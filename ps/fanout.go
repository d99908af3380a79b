package ps

import (
	"iter"
	"maps"
	"slices"
	"time"

	"convoy/api"
	"convoy/bus"
	"convoy/digest"
	"convoy/state"
)

const (
	window      = 16 // chunks that a receiver may not have acknowledged
	creditEvery = 8  // chunks after which a receiver says how far it is
	maxOnTheWay = 2  // gradients, each of which is in memory until it has been sent
)

// fanout sends gradients to replicas and workers together, at the pace of the
// slowest: at most a window of chunks ahead of what it has acknowledged.
type fanout struct {
	leader    *leader
	queue     []*state.Gradient // the first is on its way
	next      int               // its next chunk
	receivers map[string]int    // chunks acknowledged
	left      map[string]bool   // those that stalled and have not been heard of since
	movedAt   time.Duration     // when the slowest last made progress
	endedAt   time.Duration     // when the last gradient was out
}

// start queues a gradient and sends what the window allows.
func (f *fanout) start(g *state.Gradient) {
	f.queue = append(f.queue, g)
	if len(f.queue) == 1 {
		f.begin()
	}
	f.push()
}

func (f *fanout) begin() {
	l := f.leader
	f.next, f.movedAt = 0, l.m.now
	f.receivers = map[string]int{}
	if len(f.queue) == 0 || f.queue[0].Row.Chunks <= window {
		return // fits into everybody's window: no need to count
	}
	step := f.queue[0].Row.Step
	for _, id := range slices.Concat(l.others(), l.m.cfg.Joining) {
		if a := l.acks[id]; a != nil && l.m.now-l.ackedAt[id] <= stalledAfter {
			f.await(id, step, a.Received)
		}
	}
	for id, w := range l.m.workers {
		if w.job == l.m.job.ID && w.hello.Ready && l.m.now-w.at <= l.m.cfg.Silence {
			f.await(id, step, w.hello.Step)
		}
	}
}

// full reports that no more gradients may be queued: a receiver holds the first
// up, while others fetch it by another way.
func (f *fanout) full() bool { return len(f.queue) >= maxOnTheWay }

// await waits for a receiver, unless it has the gradient already, is too far
// behind to take it, or was left behind.
func (f *fanout) await(id string, step, has uint64) {
	if has <= step && step-has < state.MaxAhead && !f.left[id] {
		f.receivers[id] = 0
	}
}

// push sends chunks while the window is open, then the row that closes them.
func (f *fanout) push() {
	for len(f.queue) > 0 {
		g := f.queue[0]
		chunks := int(g.Row.Chunks)
		for ; f.next < chunks; f.next++ {
			if f.next >= f.slowest()+window {
				if f.leader.m.now-f.movedAt < stalledAfter {
					return
				}
				f.drop()
			}
			f.sendChunk(g, chunks)
		}
		f.leader.m.send(f.subject(), &api.Envelope{Body: &api.Envelope_Row{Row: g.Row}}, nil)
		f.queue, f.endedAt = f.queue[1:], f.leader.m.now
		f.begin()
	}
}

func (f *fanout) sendChunk(g *state.Gradient, chunks int) {
	low, high := state.Chunk(len(g.Data), chunks, f.next)
	part := g.Data[low:high]
	f.leader.m.send(f.subject(), &api.Envelope{Body: &api.Envelope_Gradient{Gradient: &api.Gradient{
		RecipeHash: g.Row.RecipeHash, Step: g.Row.Step,
		Chunk: uint32(f.next), Chunks: uint32(chunks), Checksum: digest.Chunk(part),
	}}}, part)
}

func (f *fanout) subject() string {
	return bus.Gradients(f.leader.m.cfg.Cluster, f.leader.m.job.ID)
}

// slowest is the least that any receiver has acknowledged; without receivers to
// wait for it is all that was sent.
func (f *fanout) slowest() int {
	least := f.next
	for _, n := range f.receivers {
		least = min(least, n)
	}
	return least
}

// drop leaves behind the receivers that stalled. They join again by themselves,
// and are waited for again once they say that they get chunks.
func (f *fanout) drop() {
	least := f.slowest()
	for id := range sorted(f.receivers) {
		if f.receivers[id] == least {
			f.leader.m.note("%s takes no more of gradient %d and is left behind", id, f.queue[0].Step())
			delete(f.receivers, id)
			if f.left == nil {
				f.left = map[string]bool{}
			}
			f.left[id] = true
		}
	}
	f.movedAt = f.leader.m.now
}

func (f *fanout) credit(from string, c *api.Credit) {
	delete(f.left, from)
	if len(f.queue) == 0 || c.Step != f.queue[0].Row.Step || c.High != 0 {
		return
	}
	if n, ok := f.receivers[from]; ok && int(c.Chunks) > n {
		before := f.slowest()
		f.receivers[from] = int(c.Chunks)
		if f.slowest() > before {
			f.movedAt = f.leader.m.now
		}
		f.push()
	}
}

// sorted ranges over a map's keys in order: decisions do not depend on the
// order of a map.
func sorted[V any](m map[string]V) iter.Seq[string] {
	return slices.Values(slices.Sorted(maps.Keys(m)))
}
