package data

import (
	"context"
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"

	"convoy/digest"
)

// examples are labelled images on their way into shards. Reading one may fail.
type examples interface {
	Len() int
	// read writes example i into pixels and returns its label.
	read(i int, pixels []byte) (label int, err error)
}

// source is a data set that was found somewhere: about tells name, generator,
// classes and the images' shape.
type source struct {
	about       Manifest
	train, test examples // test is nil where the set came without
	skipped     []string // what was left out, each with the reason
	shard       int      // bytes of a shard at most, unless one example has more; 0 is shardTarget
}

// build reads every example once, hands the shards that they make to sink, from
// several goroutines and in any order, and returns the manifest. sink owns the
// bytes.
func (s source) build(ctx context.Context, sink func(at int, shard Shard, b []byte) error) (Manifest, error) {
	m := s.about
	m.Train, m.Test, m.Shards, m.PixelSums = s.train.Len(), s.test.Len(), nil, make([]PixelSums, m.Channels)
	if err := m.checkShape(); err != nil {
		return Manifest{}, err
	}
	target := s.shard
	if target == 0 {
		target = shardTarget
	}
	m.Shards = append(cut(Train, m.Train, m.ImageBytes(), target), cut(Test, m.Test, m.ImageBytes(), target)...)
	sums := make([][]PixelSums, len(m.Shards))
	err := inOrder(ctx, len(m.Shards), func(at int) (err error) {
		sums[at], err = s.buildShard(m, at, sink)
		return err
	})
	if err != nil {
		return Manifest{}, err
	}
	for _, shard := range sums {
		for c, s := range shard {
			m.PixelSums[c].add(s)
		}
	}
	return m, m.Check()
}

// inOrder calls do for 0…n−1 on all cores and returns what a plain loop would:
// the error of the lowest index that fails. It stops when ctx ends.
func inOrder(ctx context.Context, n int, do func(i int) error) error {
	errs := make([]error, n)
	var next atomic.Int64
	var stop atomic.Bool
	var all sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			// Indices are taken in order, and what is taken is done: so the
			// lowest that fails is among them.
			for !stop.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[i] = ctx.Err(); errs[i] == nil {
					errs[i] = do(i)
				}
				if errs[i] != nil {
					stop.Store(true)
				}
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// buildShard fills in entry at of the manifest's shards. The sums are those of
// its pixels if they are training examples.
func (s source) buildShard(m Manifest, at int, sink func(int, Shard, []byte) error) (sums []PixelSums, err error) {
	shard, from := &m.Shards[at], s.train
	if shard.Split == Test {
		from = s.test
	}
	b, err := encodeShard(m, *shard, from)
	if err != nil {
		return nil, err
	}
	if err := checkLabels(b, m, *shard); err != nil {
		return nil, err
	}
	shard.SHA256 = digest.Of(b).String()
	if shard.Split == Train {
		sums = make([]PixelSums, m.Channels)
		pixels, _ := shardParts(b, m.ImageBytes(), shard.Count)
		addPixels(sums, pixels, m.Height*m.Width)
	}
	return sums, sink(at, *shard, b)
}

// cut divides a split of n examples of size bytes into shards of target bytes.
func cut(split string, n, size, target int) (shards []Shard) {
	per := max(1, (target-shardHeader)/(size+2))
	for first := 0; first < n; first += per {
		count := min(per, n-first)
		shards = append(shards, Shard{Split: split, First: first, Count: count, Bytes: shardBytes(size, count)})
	}
	return shards
}

// encodeShard returns the bytes of the shard that s describes.
func encodeShard(m Manifest, s Shard, from examples) ([]byte, error) {
	size := m.ImageBytes()
	b := make([]byte, shardBytes(size, s.Count))
	copy(b, shardHeaderOf(m, s))
	pixels, labels := shardParts(b, size, s.Count)
	for i := range s.Count {
		label, err := from.read(s.First+i, pixels[i*size:(i+1)*size])
		if err != nil {
			return nil, err
		}
		// A label that no set has room for is kept as one, so that the check of
		// the labels finds it.
		if label < 0 || label > maxClasses {
			label = maxClasses
		}
		binary.LittleEndian.PutUint16(labels[2*i:], uint16(label))
	}
	return b, nil
}

// sure is a Split as examples: reading one cannot fail.
type sure struct{ Split }

func (s sure) read(i int, pixels []byte) (int, error) { return s.Example(i, pixels), nil }

// Import makes a set of two splits. about tells name, generator, classes and
// the images' shape; counts, shards and sums of pixels are filled in from the
// examples, all of which are read once.
func Import(about Manifest, train, test Split) (*Set, error) {
	return ImportInShards(about, train, test, shardTarget)
}

// ImportInShards is Import with shards of at most so many bytes, or of one
// example.
func ImportInShards(about Manifest, train, test Split, bytes int) (*Set, error) {
	m, err := source{about: about, train: sure{train}, test: sure{test}, shard: bytes}.build(context.Background(), func(int, Shard, []byte) error { return nil })
	if err != nil {
		return nil, err
	}
	return &Set{Manifest: m, Train: train, Test: test}, nil
}
