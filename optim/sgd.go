// Package optim owns a job's state, the parameters and what the optimizer keeps
// beside them, and the update that takes one state to the next.
//
// Given a step's learning rate and clip factor the update is elementwise: an
// Updater shares it out by leaves of the digest and gets the bits of one pass
// over the whole. Every product is rounded before it is added; no machine may
// fuse the two, and the bits are the same everywhere.
package optim

import (
	"math"

	"convoy/job"
)

// SGD is stochastic gradient descent with momentum and weight decay as PyTorch's
// torch.optim.SGD does it (Sutskever, Martens, Dahl and Hinton, "On the
// importance of initialization and momentum in deep learning", 2013, with the
// learning rate outside of the velocity), and clipping by norm as
// torch.nn.utils.clip_grad_norm_ does it (Pascanu, Mikolov and Bengio, "On the
// difficulty of training recurrent neural networks", 2013, algorithm 1). With
// g = clip·grad + WeightDecay·p, a step is
//
//	v = Momentum·v + g
//	p = p − lr·v                    or, with Nesterov, p − lr·(g + Momentum·v)
//
// and without a momentum p = p − lr·g.
type SGD struct {
	Momentum    float32 // 0: no velocity is kept
	WeightDecay float32 // times the parameter, added to its gradient
	WeightsOnly bool    // tensors of fewer than two dimensions, such as biases, do not decay
	Nesterov    bool    // look ahead along the velocity; needs a momentum
	ClipNorm    float32 // a gradient whose norm is greater is scaled down to it; 0: none is
}

// FromJob returns the optimizer that a recipe asks for.
func FromJob(o job.Optimizer) SGD {
	return SGD{
		Momentum: o.Momentum, Nesterov: o.Nesterov,
		WeightDecay: o.WeightDecay, WeightsOnly: !o.DecayBiases, ClipNorm: o.ClipNorm,
	}
}

// Slots names the vectors that o keeps beside the parameters, each as long as
// they are: nil, or the velocity.
func (o SGD) Slots() []string {
	if o.Momentum == 0 {
		return nil
	}
	return []string{"velocity"}
}

// clip is the factor by which a gradient is scaled whose leaves have these sums of
// squares, added in order:
//
//	min(1, ClipNorm/(√Σ + 10⁻⁶))
//
// in float64, rounded to float32. It is 1 for an evaluation, which has no leaves.
func (o SGD) clip(squares []float64) float32 {
	if o.ClipNorm == 0 || len(squares) == 0 {
		return 1
	}
	total := 0.0
	for _, s := range squares {
		total += s
	}
	return float32(min(1, float64(o.ClipNorm)/(math.Sqrt(total)+1e-6)))
}

// spares reports whether o leaves some of what it updates without decay.
func (o SGD) spares() bool { return o.WeightsOnly && o.WeightDecay != 0 }

// decay is what a tensor decays by.
func (o SGD) decay(t Tensor) float32 {
	if o.WeightsOnly && len(t.Dims) < 2 {
		return 0
	}
	return o.WeightDecay
}
