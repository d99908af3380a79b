package nn

// Memory is what a Pass and its caller hold for training, in bytes. What the
// threads of a pool work in comes on top, and the optimizer's slots.
type Memory struct {
	Parameters  int
	Gradient    int // of the parameters
	Packed      int // weights in the kernels' order, and what the kernels compute in
	Activations int // images, outputs of layers, and what is kept of them for backward
	Gradients   int // of activations
}

// Total is the sum.
func (m Memory) Total() int {
	return m.Parameters + m.Gradient + m.Packed + m.Activations + m.Gradients
}

const floatBytes = 4

// Memory is what computing the gradient of so many examples takes, in so many
// micro-batches, a power of two.
func (n *Net) Memory(examples, microBatches int) Memory {
	cuts := make([]int, microBatches+1)
	for m := range cuts {
		cuts[m] = m * examples / microBatches
	}
	b := newBinder(n.options, false)
	op := n.mustBind(b)
	m := op.memory(cuts)
	m.Parameters, m.Gradient = floatBytes*n.params, floatBytes*n.params
	images := n.in.Len()
	if op.reorders(n.in) {
		images *= 2
	}
	m.Activations += floatBytes * examples * (images + n.out.C)
	m.Gradients = floatBytes * examples * n.out.C
	for _, sides := range b.sides {
		m.Gradients += floatBytes * examples * (sides[0] + sides[1])
	}
	return m
}

// A holder is an operator with memory of its own beside the chain's.
type holder interface {
	// packed is the kernels', activations what is kept of values for backward.
	memory(cuts []int) (packed, activations int)
}

// memory is what the chain's operators and the buffers between them hold, but
// for the gradients.
func (c *chain) memory(cuts []int) (m Memory) {
	examples := cuts[len(cuts)-1]
	for i := range c.links {
		l := &c.links[i]
		if c.buffers(i) {
			m.Activations += floatBytes * examples * l.out.Len()
		}
		switch op := l.op.(type) {
		case holder:
			packed, activations := op.memory(cuts)
			m.Packed += packed
			m.Activations += activations
		case *branches:
			for _, branch := range op.chains {
				inner := branch.memory(cuts)
				m.Packed += inner.Packed
				m.Activations += inner.Activations
			}
		}
	}
	return m
}
