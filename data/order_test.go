package data

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"convoy/job"
)

// shardsOf is a manifest of training shards of the given sizes, and a test shard.
func shardsOf(counts []int) Manifest {
	var m Manifest
	for _, n := range counts {
		m.Shards = append(m.Shards, Shard{Split: Train, First: m.Train, Count: n})
		m.Train += n
	}
	m.Shards = append(m.Shards, Shard{Split: Test, Count: 1})
	return m
}

// TestOrder checks for any number of examples, shards, batch and micro-batches
// that the steps of an epoch take every example exactly once, and that a window
// holds the examples of its own shards and no others.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := shardsOf(rapid.SliceOfN(rapid.IntRange(1, 20), 1, 12).Draw(t, "shards"))
		window := rapid.IntRange(0, 14).Draw(t, "window")
		seed, epoch := rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, 3).Draw(t, "epoch")
		seq := job.Sequence{
			Train: m.Train, Test: 1, Epochs: 4, Batch: rapid.IntRange(1, m.Train+3).Draw(t, "batch"),
			MicroBatches: 1 << rapid.IntRange(0, 4).Draw(t, "micro-batches"),
		}
		o := NewOrder(m, window, seed, epoch)
		same := NewOrder(m, window, seed, epoch)
		seen := make([]int, m.Train)
		for t0 := epoch * seq.PerEpoch(); !seq.At(t0).Evaluation; t0++ {
			for b := range seq.MicroBatches {
				low, high := seq.Positions(t0, b)
				for p := low; p < high; p++ {
					i := o.At(p)
					seen[i]++
					if window > 0 && !slices.ContainsFunc(o.Shards(o.Window(p)), func(s int) bool {
						return i >= m.Shards[s].First && i < m.Shards[s].First+m.Shards[s].Count
					}) {
						t.Fatalf("position %d holds example %d, which is in no shard of window %d: %v", p, i, o.Window(p), o.Shards(o.Window(p)))
					}
					if same.At(p) != i {
						t.Fatalf("position %d holds example %d once and %d again", p, i, same.At(p))
					}
				}
			}
		}
		for i, n := range seen {
			if n != 1 {
				t.Fatalf("example %d comes %d times in an epoch", i, n)
			}
		}
		needed := map[int]bool{}
		for w := range o.Windows() {
			for _, s := range o.Shards(w) {
				needed[s] = true
			}
			if window > 0 && len(o.Shards(w)) > window {
				t.Fatalf("window %d needs %d shards, want at most %d", w, len(o.Shards(w)), window)
			}
		}
		if window > 0 && len(needed) != len(m.Shards)-1 {
			t.Fatalf("the windows need %d shards of %d", len(needed), len(m.Shards)-1)
		}
	})
}

// TestOrderGolden pins the order: it is part of the arithmetic version.
func TestOrderGolden(t *testing.T) {
	m := shardsOf([]int{3, 3, 3, 2})
	for _, c := range []struct {
		window, epoch int
		want          string
	}{
		{0, 0, "[6 8 5 1 2 10 9 0 7 4 3]"},
		{2, 0, "[6 0 7 1 8 2 3 5 10 9 4]"},
		{2, 1, "[1 5 0 2 4 3 6 8 10 7 9]"},
		{1, 0, "[8 6 7 1 2 0 9 10 3 4 5]"},
	} {
		o := NewOrder(m, c.window, 1, c.epoch)
		var got []int
		for p := range m.Train {
			got = append(got, o.At(p))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("window %d, epoch %d: %v, want %s", c.window, c.epoch, got, c.want)
		}
	}
}
