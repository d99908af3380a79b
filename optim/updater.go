package optim

import (
	"fmt"
	"sync/atomic"

	"convoy/digest"
	"convoy/floats"
	"convoy/kernels"
)

// A Runner calls f(0) … f(tasks−1), several at a time where it can, and returns
// after the last; kernels.Pool is one.
type Runner interface {
	Run(tasks int, f func(task int))
}

// An Updater applies whole gradients to states and digests them, a leaf of the
// digest at a time: what has just been computed is digested while it is in the
// cache. It keeps its memory, and serves one caller at a time.
type Updater struct {
	runner Runner
	task   func(leaf int)

	// of the call that is under way
	sgd            kernels.SGD
	state          *State
	grad           []float32
	total          []float32 // what grad is to be, times divisor
	divisor        float32   // 0: grad is given
	infinite       atomic.Bool
	update, digest bool
	leaves         [1 + maxSlots][]digest.Leaf // of the parameters and the slots, or of the gradient
}

// sharedLeaves is from how many leaves on sharing out takes less time than it
// saves.
const sharedLeaves = 8

// maxSlots is the most that an optimizer keeps beside the parameters.
const maxSlots = 1

// NewUpdater returns an updater whose work r shares out; nil: the caller does it.
func NewUpdater(r Runner) *Updater {
	u := &Updater{runner: r}
	u.task = u.leaf
	return u
}

// Apply updates the whole of s with a gradient, as o.Apply does; with wantDigest
// it returns s.Digest() of what has become of it.
func (u *Updater) Apply(s *State, o SGD, grad []float32, lr float32, wantDigest bool) (sum digest.Sum) {
	if len(grad) != len(s.Params) || len(s.Slots) != len(o.Slots()) {
		panic(fmt.Sprintf("optim: a gradient of %d for %d parameters, %d slots for %d", len(grad), len(s.Params), len(s.Slots), len(o.Slots())))
	}
	u.sgd, u.state, u.grad, u.update, u.digest = o.step(lr), s, grad, true, wantDigest
	u.run(len(s.Params))
	if wantDigest {
		sum = u.sum()
	}
	u.state, u.grad = nil, nil
	return sum
}

// Digest is s.Digest().
func (u *Updater) Digest(s *State) digest.Sum {
	u.state, u.update, u.digest = s, false, true
	u.run(len(s.Params))
	sum := u.sum()
	u.state = nil
	return sum
}

// Gradient is digest.OfGradient.
func (u *Updater) Gradient(grad []float32, sums digest.Sums) digest.Gradient {
	u.grad, u.update, u.digest = grad, false, true
	u.run(len(grad))
	u.grad = nil
	return digest.OfGradientLeaves(u.leaves[0], sums)
}

// Mean divides sum, that of a step's gradients, by the number of examples into
// mean, which may be sum, and returns what Gradient would of the result, and
// whether all of it is finite.
func (u *Updater) Mean(mean, sum []float32, sums digest.Sums) (g digest.Gradient, finite bool) {
	if len(mean) != len(sum) {
		panic(fmt.Sprintf("optim: the mean of %d floats into %d", len(sum), len(mean)))
	}
	u.divisor, u.total = float32(sums.Examples), sum
	u.infinite.Store(false)
	g = u.Gradient(mean, sums)
	u.divisor, u.total = 0, nil
	return g, !u.infinite.Load()
}

// run does all leaves of vectors of n floats.
func (u *Updater) run(n int) {
	count := digest.Leaves(n)
	if u.digest {
		for i := range u.leaves {
			if cap(u.leaves[i]) < count {
				u.leaves[i] = make([]digest.Leaf, count)
			}
			u.leaves[i] = u.leaves[i][:count]
		}
	}
	if u.runner != nil && count >= sharedLeaves {
		u.runner.Run(count, u.task)
		return
	}
	for i := range count {
		u.leaf(i)
	}
}

// leaf does one leaf.
func (u *Updater) leaf(i int) {
	if u.state == nil {
		grad := digest.LeafAt(u.grad, i)
		if u.divisor != 0 {
			kernels.Divide(digest.LeafAt(u.total, i), grad, u.divisor)
			if !floats.Finite(grad) {
				u.infinite.Store(true)
			}
		}
		u.leaves[0][i] = digest.LeafOf(grad)
		return
	}
	params := digest.LeafAt(u.state.Params, i)
	if u.update {
		var velocity []float32
		if u.sgd.Momentum != 0 {
			velocity = digest.LeafAt(u.state.Slots[0], i)
		}
		kernels.Update(nil, u.sgd, params, velocity, digest.LeafAt(u.grad, i))
	}
	if u.digest {
		u.leaves[0][i] = digest.LeafOf(params)
		for slot, v := range u.state.Slots {
			u.leaves[1+slot][i] = digest.LeafOf(digest.LeafAt(v, i))
		}
	}
}

// sum puts the digests of the state's leaves together.
func (u *Updater) sum() digest.Sum {
	vectors := [1 + maxSlots]digest.Hashed{{Name: "params", Len: len(u.state.Params), Leaves: u.leaves[0]}}
	for i, v := range u.state.Slots {
		vectors[1+i] = digest.Hashed{Name: slotNames[i], Len: len(v), Leaves: u.leaves[1+i]}
	}
	return digest.OfLeaves(DigestTag, vectors[:1+len(u.state.Slots)]...)
}
