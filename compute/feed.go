package compute

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"convoy/data"
	"convoy/job"
	"convoy/kernels"
	"convoy/tree"
)

// A feed prepares the inputs of a job's blocks in the order of a plan. Where
// there are more cores than the pool has threads, the block that comes next is
// prepared beside the arithmetic on the one before; else when the plan's work is
// done and the leader has its turn.
type feed struct {
	sequence job.Sequence
	set      *data.Set
	inputs   *data.Preparation
	pool     *kernels.Pool
	order    order
	idle     bool // there are cores that the pool does not use

	lazy   *data.Lazy // nil where all of the set is in memory
	looked [2]int     // epoch and window that lookAhead asked for last; none begins with epoch −1

	plan       []block
	next       int // of the plan
	now, ahead *prepared
}

// A block is what is prepared and computed at once: examples [low, high) of a
// node's. In training those are all.
type block struct {
	step      int
	node      tree.Node
	low, high int
}

// prepared is the inputs of a block. The buffers grow to the largest and stay.
type prepared struct {
	block   block
	step    job.Step
	first   int // position of the first example
	order   data.Order
	indices []int
	images  []float32
	labels  []int32

	// A task is a few examples. Whoever takes one prepares it: the pool's threads,
	// and the goroutine beside them while there is one.
	taken  atomic.Int64
	beside sync.WaitGroup
}

func newFeed(r job.Recipe, set *data.Set, inputs *data.Preparation, pool *kernels.Pool) *feed {
	f := &feed{
		looked:   [2]int{-1, 0},
		sequence: r.Sequence(), set: set, inputs: inputs, pool: pool, order: newOrder(r, &set.Manifest),
		idle: runtime.GOMAXPROCS(0) > pool.Threads(), now: &prepared{},
	}
	f.ahead = f.now
	if f.idle {
		f.ahead = &prepared{}
	}
	return f
}

// evaluationBytes bounds an evaluation's inputs in memory.
const evaluationBytes = 32 << 20

// follow plans the blocks of nodes of step t and, last, what the same plan asks
// for first in the step after it. An evaluation's blocks are of a multiple of
// piece examples.
func (f *feed) follow(t int, nodes []tree.Node, piece int) {
	f.plan, f.next = f.plan[:0], 0
	for _, n := range nodes {
		f.add(t, n, piece)
	}
	if t+1 < f.sequence.Len() {
		end := len(f.plan)
		f.add(t+1, nodes[0], piece)
		f.plan = f.plan[:min(end+1, len(f.plan))]
	}
}

func (f *feed) add(t int, n tree.Node, piece int) {
	first, end := f.positions(t, n)
	count := end - first
	size := count
	if f.sequence.At(t).Evaluation {
		size = max(1, evaluationBytes/4/f.inputs.Len()/piece) * piece
	}
	for low := 0; low < count; low += size {
		f.plan = append(f.plan, block{t, n, low, min(low+size, count)})
	}
}

// positions are those of a node's examples: [low, high).
func (f *feed) positions(t int, n tree.Node) (low, high int) {
	low, _ = f.sequence.Positions(t, n.Low)
	_, high = f.sequence.Positions(t, n.High-1)
	return low, high
}

// take returns the inputs of the plan's next block; they stay until the next
// call.
func (f *feed) take() *prepared {
	f.begin()
	f.finish()
	f.now, f.ahead = f.ahead, f.now
	f.next++
	if f.idle && f.begin() {
		p := f.ahead
		p.beside.Go(func() { f.prepare(p) })
	}
	return f.now
}

// rest prepares what follows the blocks taken while nothing is computed.
func (f *feed) rest() {
	if f.begin() {
		f.finish()
	}
}

// begin makes the plan's next block the one ahead, unless it is already; false
// means that there is none.
func (f *feed) begin() bool {
	if f.next == len(f.plan) {
		return false
	}
	b, p := f.plan[f.next], f.ahead
	if p.block == b {
		return true
	}
	f.stop()
	low, _ := f.positions(b.step, b.node)
	p.block, p.step, p.first = b, f.sequence.At(b.step), low+b.low
	if !p.step.Evaluation {
		p.order = f.order.of(p.step.Epoch)
		f.lookAhead(p)
	}
	n := b.high - b.low
	p.indices, p.images, p.labels = grow(p.indices, n), grow(p.images, n*f.inputs.Len()), grow(p.labels, n)
	p.taken.Store(0)
	return true
}

// finish prepares what is left of the block ahead on the whole pool.
func (f *feed) finish() {
	if p := f.ahead; p.taken.Load()*atOnce < int64(len(p.labels)) {
		f.pool.Run(f.pool.Threads(), func(int) { f.prepare(p) })
	}
	f.ahead.beside.Wait()
}

// stop gives the block ahead up, whole or not.
func (f *feed) stop() {
	const none = 1 << 40
	f.ahead.taken.Store(none)
	f.ahead.beside.Wait()
	f.ahead.block = block{}
}

// atOnce is how many examples a task has.
const atOnce = 16

// prepare takes tasks of p until there are none.
func (f *feed) prepare(p *prepared) {
	size := f.inputs.Len()
	for {
		low := int(p.taken.Add(1)-1) * atOnce
		if low >= len(p.labels) {
			return
		}
		high := min(low+atOnce, len(p.labels))
		for k := low; k < high; k++ {
			p.indices[k] = p.first + k
			if !p.step.Evaluation {
				p.indices[k] = p.order.At(p.first + k)
			}
		}
		indices, images, labels := p.indices[low:high], p.images[low*size:high*size], p.labels[low:high]
		if p.step.Evaluation {
			f.inputs.Evaluate(f.set.Test, indices, images, labels)
		} else {
			f.inputs.Train(f.set.Train, p.step.Epoch, indices, images, labels)
		}
	}
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// order is the data set's order in the epoch that was asked for last.
type order struct {
	manifest *data.Manifest
	seed     uint64
	window   int // shards
	epoch    int
	now      data.Order
}

func newOrder(r job.Recipe, m *data.Manifest) order {
	return order{manifest: m, seed: r.Seed, window: r.Window, epoch: -1}
}

func (o *order) of(epoch int) data.Order {
	if o.epoch != epoch {
		o.epoch, o.now = epoch, data.NewOrder(*o.manifest, o.window, o.seed, epoch)
	}
	return o.now
}

// lookAhead has a lazy set load the window that p begins in and the one after
// it, while others compute.
func (f *feed) lookAhead(p *prepared) {
	if f.lazy == nil {
		return
	}
	w := p.order.Window(p.first)
	here := [2]int{p.step.Epoch, w}
	if f.looked == here {
		return
	}
	shards := slices.Clone(p.order.Shards(w))
	if w+1 < p.order.Windows() {
		shards = append(shards, p.order.Shards(w+1)...)
	} else if next := p.step.Epoch + 1; next < f.sequence.Epochs {
		order := data.NewOrder(*f.order.manifest, f.order.window, f.order.seed, next)
		shards = append(shards, order.Shards(0)...)
	}
	if f.lazy.Prefetch(shards) {
		f.looked = here
	}
}
