package data

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"convoy/digest"
)

// shelf is a source that counts, and fails as often as it is told to.
type shelf struct {
	shards   map[digest.Sum][]byte
	gets     atomic.Int64
	failures atomic.Int64
	told     atomic.Int64
}

func (s *shelf) Get(_ context.Context, sha digest.Sum) ([]byte, error) {
	s.gets.Add(1)
	if s.failures.Add(-1) >= 0 {
		return nil, errors.New("away")
	}
	return bytes.Clone(s.shards[sha]), nil
}

func (s *shelf) Trouble(error) { s.told.Add(1) }

// lazyImages is bigImages with its shards on a shelf.
func lazyImages(t *testing.T, ctx context.Context, limit int64) (*Set, *Lazy, *shelf) {
	t.Helper()
	set := bigImages(t)
	source := &shelf{shards: map[digest.Sum][]byte{}}
	for shard, b := range shardsOfSet(t, set) {
		source.shards[shard.Digest()] = b
	}
	l, err := Lazily(ctx, set.Manifest, limit, source)
	if err != nil {
		t.Fatal(err)
	}
	return set, l, source
}

func TestLazy(t *testing.T) {
	for limit, wantGets := range map[int64]int64{
		1 << 30: 3,  // each shard once
		1:       12, // one at a time, by a reader that changes between them
	} {
		set, l, source := lazyImages(t, context.Background(), limit)
		lazy := l.Set()
		sameExamples(t, set.Train, lazy.Train, set.Manifest.ImageBytes())
		sameExamples(t, set.Test, lazy.Test, set.Manifest.ImageBytes())
		if n := source.gets.Load(); n != 3 {
			t.Errorf("limit %d: %d shards were loaded in order, want 3", limit, n)
		}
		pixels := make([]byte, set.Manifest.ImageBytes())
		for i := range 9 {
			lazy.Train.Example(i%2*6, pixels)
		}
		if n := source.gets.Load(); n != wantGets {
			t.Errorf("limit %d: %d shards were loaded, want %d", limit, n, wantGets)
		}
		if l.bytes > max(limit, int64(set.Manifest.Shards[0].Bytes)) {
			t.Errorf("limit %d: %d bytes are held", limit, l.bytes)
		}
	}
}

// TestLazyConcurrently reads everything from several goroutines, with room for
// one shard.
func TestLazyConcurrently(t *testing.T) {
	set, l, _ := lazyImages(t, context.Background(), 1)
	lazy := l.Set()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { sameExamples(t, set.Train, lazy.Train, set.Manifest.ImageBytes()) })
		l.Prefetch([]int{2, 0})
	}
	all.Wait()
	l.Wait()
}

func TestLazyPrefetch(t *testing.T) {
	set, l, source := lazyImages(t, context.Background(), 1<<30)
	l.Prefetch([]int{1, 2})
	l.Wait()
	if n := source.gets.Load(); n != 2 {
		t.Errorf("%d shards were loaded ahead, want 2", n)
	}
	sameExamples(t, set.Test, l.Set().Test, set.Manifest.ImageBytes())
	if n := source.gets.Load(); n != 2 {
		t.Errorf("%d shards were loaded, want 2: the test shard was loaded ahead", n)
	}
}

// TestLazyTrouble: a shard that cannot be had, or is damaged, is tried again
// until it is there, or until the context ends.
func TestLazyTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		set, l, source := lazyImages(t, ctx, 1<<30)
		source.failures.Store(3)
		sameExamples(t, set.Train, l.Set().Train, set.Manifest.ImageBytes())
		if n := source.told.Load(); n != 3 {
			t.Errorf("%d troubles were told, want 3", n)
		}
		source.shards[set.Manifest.Shards[2].Digest()][5000] ^= 1
		var done atomic.Bool
		go func() {
			l.Set().Test.Example(0, make([]byte, set.Manifest.ImageBytes()))
			done.Store(true)
		}()
		synctest.Wait()
		if done.Load() || source.told.Load() != 4 {
			t.Errorf("a damaged shard was taken, or not told: %d troubles", source.told.Load())
		}
		cancel()
		synctest.Wait()
		if !done.Load() {
			t.Error("still waiting for a shard after the context has ended")
		}
		l.Prefetch([]int{0})
		l.Wait()
	})
}
