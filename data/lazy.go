package data

import (
	"context"
	"sort"
	"sync"
	"time"

	"convoy/digest"
)

// Lazy is a set whose shards are loaded when an example of theirs is wanted, and
// of which a bounded number of bytes stays in memory: those used last. What is
// in use beside it, and what is being loaded, comes on top.
type Lazy struct {
	manifest Manifest
	ctx      context.Context // what is loaded is loaded on its behalf
	source   Source
	limit    int64

	lock   sync.Mutex
	held   []*heldShard // by shard, nil where it is neither here nor on its way
	bytes  int64        // of all held
	clock  int64        // counts uses
	ahead  sync.WaitGroup
	asking bool // a Prefetch is under way
}

// heldShard is a shard in memory, or on its way there until ready is closed.
type heldShard struct {
	ready  chan struct{}
	part   part  // valid once ready is closed, unless err
	err    error // ctx's
	used   int64 // by the clock
	loaded bool  // ready is closed; under the lock
}

// Source is where a lazy set's shards come from. Its methods are called from
// several goroutines.
type Source interface {
	// Get returns a shard's bytes, which the set owns from then on.
	Get(ctx context.Context, sha digest.Sum) ([]byte, error)
	// Trouble is told why a shard cannot be had. It is tried again.
	Trouble(error)
}

// Lazily makes a set of shards that come from source. Reading an example waits
// for its shard until ctx ends. After that the set's examples mean nothing:
// whoever read some looks at ctx then.
//
// limit is in bytes.
func Lazily(ctx context.Context, m Manifest, limit int64, source Source) (*Lazy, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	return &Lazy{manifest: m, ctx: ctx, source: source, limit: limit, held: make([]*heldShard, len(m.Shards))}, nil
}

// Set returns the set. Its examples may be read as long as ctx lasts.
func (l *Lazy) Set() *Set {
	train := sort.Search(len(l.manifest.Shards), func(i int) bool { return l.manifest.Shards[i].Split == Test })
	return &Set{
		Manifest: l.manifest,
		Train:    &lazySplit{l, 0, l.manifest.Shards[:train], l.manifest.Train},
		Test:     &lazySplit{l, train, l.manifest.Shards[train:], l.manifest.Test},
	}
}

// lazySplit is a split of a lazy set: shards from the base-th on.
type lazySplit struct {
	lazy   *Lazy
	base   int
	shards []Shard
	n      int
}

func (s *lazySplit) Len() int { return s.n }

func (s *lazySplit) Example(i int, pixels []byte) int {
	k := sort.Search(len(s.shards), func(k int) bool { return s.shards[k].First > i }) - 1
	p, err := s.lazy.shard(s.base + k)
	if err != nil {
		return 0 // ctx has ended
	}
	return p.example(i-p.first, s.lazy.manifest.ImageBytes(), pixels)
}

// Prefetch begins to load the shards that are not there, one after the other,
// and returns at once. It reports false, and does nothing, while an earlier one
// is under way.
func (l *Lazy) Prefetch(shards []int) bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.asking || l.ctx.Err() != nil {
		return false
	}
	l.asking = true
	l.ahead.Go(func() {
		for _, at := range shards {
			if _, err := l.shard(at); err != nil {
				break
			}
		}
		l.lock.Lock()
		l.asking = false
		l.lock.Unlock()
	})
	return true
}

// Wait returns once no Prefetch is under way; ctx must have ended, so that
// none begins afterwards.
func (l *Lazy) Wait() { l.ahead.Wait() }

// shard returns shard at, which it loads unless it is there or on its way.
func (l *Lazy) shard(at int) (part, error) {
	l.lock.Lock()
	l.clock++
	h := l.held[at]
	if h != nil {
		h.used = l.clock
		l.lock.Unlock()
		<-h.ready
		return h.part, h.err
	}
	h = &heldShard{ready: make(chan struct{}), used: l.clock}
	l.held[at] = h
	l.bytes += int64(l.manifest.Shards[at].Bytes)
	l.makeRoom()
	l.lock.Unlock()

	h.part, h.err = l.load(at)
	l.lock.Lock()
	h.loaded = true
	l.lock.Unlock()
	close(h.ready)
	return h.part, h.err
}

// makeRoom drops the shards that were used longest ago until the limit is met.
// Who reads one of them meanwhile has its bytes still.
func (l *Lazy) makeRoom() {
	for l.bytes > l.limit {
		oldest := -1
		for i, h := range l.held {
			if h != nil && h.loaded && (oldest < 0 || h.used < l.held[oldest].used) {
				oldest = i
			}
		}
		if oldest < 0 {
			return
		}
		l.held[oldest] = nil
		l.bytes -= int64(l.manifest.Shards[oldest].Bytes)
	}
}

// load tries until it has shard at; the error is ctx's.
func (l *Lazy) load(at int) (part, error) {
	s := l.manifest.Shards[at]
	for {
		b, err := l.source.Get(l.ctx, s.Digest())
		if err == nil {
			var pixels, labels []byte
			if pixels, labels, err = decodeShard(b, l.manifest, s); err == nil {
				return part{s.First, pixels, labels}, nil
			}
		}
		if l.ctx.Err() != nil {
			return part{}, l.ctx.Err()
		}
		l.source.Trouble(err)
		select {
		case <-time.After(retryPause):
		case <-l.ctx.Done():
		}
	}
}

// retryPause is how long a shard that cannot be had is left alone.
const retryPause = time.Second

// Needs is how many bytes of shards whoever follows an order with this window
// has to hold: two windows and what is loaded ahead.
func (m Manifest) Needs(window int) int64 {
	largest := 0
	for _, s := range m.Shards {
		largest = max(largest, s.Bytes)
	}
	return int64(3*window) * int64(largest)
}
