// Package optim owns a job's state, the parameters and what the optimizer keeps
// beside them, and the update that takes one state to the next.
//
// The update is elementwise: applied to a window of the vectors it gives the
// bits that it gives on the whole, so states are updated chunk by chunk as
// gradients arrive. Every product is rounded before it is added; no machine may
// fuse the two, and the bits are the same everywhere.
package optim

import (
	"fmt"

	"convoy/job"
	"convoy/kernels"
)

// SGD is stochastic gradient descent with momentum and weight decay as PyTorch's
// torch.optim.SGD does it (Sutskever, Martens, Dahl and Hinton, "On the
// importance of initialization and momentum in deep learning", 2013, with the
// learning rate outside of the velocity).
type SGD struct {
	LR          float32 // learning rate of the recipe; Apply is given the step's own
	Momentum    float32 // 0: no velocity is kept
	WeightDecay float32 // times the parameter, added to its gradient
	Nesterov    bool    // look ahead along the velocity; needs a momentum
}

// FromJob returns the optimizer that a recipe asks for.
func FromJob(o job.Optimizer) SGD {
	return SGD{LR: o.LR, Momentum: o.Momentum, WeightDecay: o.WeightDecay, Nesterov: o.Nesterov}
}

// Slots names the vectors that o keeps beside the parameters, each as long as
// they are: nil, or the velocity.
func (o SGD) Slots() []string {
	if o.Momentum == 0 {
		return nil
	}
	return []string{"velocity"}
}

// Apply updates a window of the state with the same window of a gradient, which
// it leaves alone: with g = grad + WeightDecay·p,
//
//	v = Momentum·v + g
//	p = p − lr·v                    or, with Nesterov, p − lr·(g + Momentum·v)
//
// and without a momentum p = p − lr·g. All windows have one length; velocity is
// not read, and may be nil, where the momentum is 0.
func (o SGD) Apply(params, velocity, grad []float32, lr float32) {
	if len(grad) != len(params) || o.Momentum != 0 && len(velocity) != len(params) {
		panic(fmt.Sprintf("optim: windows of %d parameters, %d velocities and %d gradients", len(params), len(velocity), len(grad)))
	}
	kernels.Update(nil, o.step(lr), params, velocity, grad)
}

func (o SGD) step(lr float32) kernels.SGD {
	return kernels.SGD{LR: lr, Momentum: o.Momentum, Decay: o.WeightDecay, Nesterov: o.Nesterov}
}
