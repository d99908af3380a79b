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
	sgd            SGD
	lr, clip       float32
	state          *State
	grad           []float32
	total          []float32 // what grad is to be, times divisor
	divisor        float32   // 0: grad is given
	round          bool      // grad to bfloat16
	infinite       atomic.Bool
	update, digest bool
	leaves         [1 + maxSlots][]digest.Leaf // of the parameters and the slots, or of the gradient
	squares        []float64                   // sums of the gradient's leaves, where it may have to be clipped
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

// Apply updates the whole of s with a gradient, which it leaves alone, at a
// learning rate and with the factor that Gradient returned; with wantDigest it
// returns s.Digest() of what has become of it.
func (u *Updater) Apply(s *State, o SGD, grad []float32, lr, clip float32, wantDigest bool) (sum digest.Sum) {
	if len(grad) != len(s.Params) || len(s.Slots) != len(o.Slots()) {
		panic(fmt.Sprintf("optim: a gradient of %d for %d parameters, %d slots for %d", len(grad), len(s.Params), len(s.Slots), len(o.Slots())))
	}
	u.sgd, u.lr, u.clip = o, lr, clip
	u.state, u.grad, u.update, u.digest = s, grad, true, wantDigest
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

// Gradient is digest.OfGradient; clip is the factor by which o scales the
// gradient.
func (u *Updater) Gradient(o SGD, grad []float32, sums digest.Sums) (g digest.Gradient, clip float32) {
	u.sgd, u.grad, u.update, u.digest = o, grad, false, true
	u.squares = grown(u.squares, digest.Leaves(len(grad)))
	u.run(len(grad))
	u.grad = nil
	return digest.OfGradientLeaves(u.leaves[0], sums), o.clip(u.squares)
}

// Mean divides sum, that of a step's gradients, by the number of examples into
// mean, which may be sum, and returns what Gradient would of the result, and
// whether all of it is finite. With round the mean is rounded to bfloat16.
func (u *Updater) Mean(o SGD, round bool, mean, sum []float32, sums digest.Sums) (g digest.Gradient, clip float32, finite bool) {
	if len(mean) != len(sum) {
		panic(fmt.Sprintf("optim: the mean of %d floats into %d", len(sum), len(mean)))
	}
	u.divisor, u.total, u.round = float32(sums.Examples), sum, round
	u.infinite.Store(false)
	g, clip = u.Gradient(o, mean, sums)
	u.divisor, u.total = 0, nil
	return g, clip, !u.infinite.Load()
}

// run does all leaves of vectors of n floats.
func (u *Updater) run(n int) {
	count := digest.Leaves(n)
	if u.digest {
		for i := range u.leaves {
			u.leaves[i] = grown(u.leaves[i], count)
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
			if u.round {
				floats.RoundBF16(grad)
			}
			if !floats.Finite(grad) {
				u.infinite.Store(true)
			}
		}
		if u.sgd.ClipNorm != 0 {
			u.squares[i] = kernels.SumOfSquares(grad)
		}
		u.leaves[0][i] = digest.LeafOf(grad)
		return
	}
	if u.update {
		u.updateLeaf(i)
	}
	if u.digest {
		u.leaves[0][i] = digest.LeafOf(digest.LeafAt(u.state.Params, i))
		for slot, v := range u.state.Slots {
			u.leaves[1+slot][i] = digest.LeafOf(digest.LeafAt(v, i))
		}
	}
}

// updateLeaf updates what leaf i holds: all of it alike, or, where some tensors do
// not decay, each tensor's part.
func (u *Updater) updateLeaf(i int) {
	low := i * digest.LeafFloats
	high := min(low+digest.LeafFloats, len(u.grad))
	if !u.sgd.spares() {
		u.window(low, high, u.sgd.WeightDecay)
		return
	}
	at := 0
	for _, t := range u.state.Layout {
		begin, end := max(low, at), min(high, at+t.Len())
		if begin < end {
			u.window(begin, end, u.sgd.decay(t))
		}
		at += t.Len()
	}
}

// window updates elements [low, high).
func (u *Updater) window(low, high int, decay float32) {
	var velocity []float32
	if u.sgd.Momentum != 0 {
		velocity = u.state.Slots[0][low:high]
	}
	step := kernels.SGD{LR: u.lr, Momentum: u.sgd.Momentum, Decay: decay, Nesterov: u.sgd.Nesterov, Scale: u.clip}
	kernels.Update(nil, step, u.state.Params[low:high], velocity, u.grad[low:high])
}

// grown returns a slice of n elements, v where it is long enough.
func grown[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}

// sum puts the digests of the state's leaves together.
func (u *Updater) sum() digest.Sum {
	vectors := [1 + maxSlots]digest.Hashed{{Name: "params", Len: len(u.state.Params), Leaves: u.leaves[0]}}
	for i, v := range u.state.Slots {
		vectors[1+i] = digest.Hashed{Name: slotNames[i], Len: len(v), Leaves: u.leaves[1+i]}
	}
	return digest.OfLeaves(DigestTag, vectors[:1+len(u.state.Slots)]...)
}
