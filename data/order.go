package data

import (
	"fmt"
	"sort"

	"convoy/rng"
)

// Order tells which training example stands at each position of an epoch: a
// permutation, which needs no memory worth speaking of. It is never changed and
// serves any number of goroutines.
//
// With a window of K shards, the shards are permuted, cut into windows of K, and
// the examples permuted within each window, so that whoever follows the order
// needs K shards at a time, or 2K where a batch crosses from one window to the
// next. Without one, all examples are permuted as one.
type Order struct {
	whole rng.Permutation // without a window

	window int
	shards []Shard           // of the training examples, in this epoch's order
	index  []int             // where each stands in the manifest
	starts []int             // position at which each one begins within its window and those before; last the number of examples
	within []rng.Permutation // of the examples of each window
}

// NewOrder returns the order of epoch, from 0, of the training examples of m: a
// pure function of the seed, the epoch and the sizes of the shards. window is in
// shards; 0 permutes all examples as one.
func NewOrder(m Manifest, window int, seed uint64, epoch int) Order {
	if window < 0 || epoch < 0 {
		panic(fmt.Sprintf("data: order with a window of %d shards in epoch %d", window, epoch))
	}
	if window == 0 {
		return Order{whole: rng.NewPermutation(seed, epoch, m.Train)}
	}
	o := Order{window: window}
	n := 0 // the training shards come first
	for n < len(m.Shards) && m.Shards[n].Split == Train {
		n++
	}
	order := rng.PermutationOf(seed, rng.ShuffleShards, uint64(epoch), 0, n)
	at := 0
	for j := range n {
		i := order.At(j)
		o.index, o.shards, o.starts = append(o.index, i), append(o.shards, m.Shards[i]), append(o.starts, at)
		at += m.Shards[i].Count
	}
	o.starts = append(o.starts, at)
	for w := range o.Windows() {
		low, high := o.bounds(w)
		o.within = append(o.within, rng.PermutationOf(seed, rng.ShuffleWindow, uint64(epoch), uint64(w), o.starts[high]-o.starts[low]))
	}
	return o
}

// At returns the example at a position, from 0.
func (o *Order) At(position int) int {
	if o.window == 0 {
		return o.whole.At(position)
	}
	w := o.Window(position)
	low, high := o.bounds(w)
	position = o.starts[low] + o.within[w].At(position-o.starts[low])
	j := low + o.holder(o.starts[low:high], position)
	return o.shards[j].First + position - o.starts[j]
}

// Windows is the number of windows of an epoch: 1 where all examples are
// permuted as one.
func (o *Order) Windows() int {
	if o.window == 0 {
		return 1
	}
	return (len(o.shards) + o.window - 1) / o.window
}

// Window returns in which window a position lies.
func (o *Order) Window(position int) int {
	if o.window == 0 {
		return 0
	}
	return o.holder(o.starts[:len(o.shards)], position) / o.window
}

// Shards returns which of the manifest's shards window w needs; nil where all
// examples are permuted as one.
func (o *Order) Shards(w int) []int {
	if o.window == 0 {
		return nil
	}
	low, high := o.bounds(w)
	return o.index[low:high]
}

// bounds returns the shards [low, high) of window w, by their places in o.
func (o *Order) bounds(w int) (low, high int) {
	return w * o.window, min((w+1)*o.window, len(o.shards))
}

// holder returns the last of starts that is not above position.
func (o *Order) holder(starts []int, position int) int {
	return sort.SearchInts(starts, position+1) - 1
}
