package nn

import (
	"fmt"
	"strings"
)

// Table says which channels of its input each output of a convolution sees: row c
// has an X for each output that sees channel c and a dot for the others, as table
// I of LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to
// document recognition", 1998, is printed.
type Table []string

// check reports what makes t no table for a convolution.
func (t Table) check(in, out int) error {
	if len(t) != in {
		return fmt.Errorf("its table has %d rows for %d channels of the input", len(t), in)
	}
	for c, row := range t {
		if len(row) != out || strings.Trim(row, "X.") != "" {
			return fmt.Errorf("row %d of its table is %q: want an X or a dot for each of %d outputs", c, row, out)
		}
	}
	for o := range out {
		if t.inputs(o) == 0 {
			return fmt.Errorf("output %d sees no channel: give its column of the table an X", o)
		}
	}
	return nil
}

// sees reports whether output o is connected with channel c.
func (t Table) sees(o, c int) bool { return t[c][o] == 'X' }

// inputs is how many channels output o sees, outputs how many see channel c.
func (t Table) inputs(o int) (n int) {
	for c := range t {
		if t.sees(o, c) {
			n++
		}
	}
	return n
}

func (t Table) outputs(c int) int { return strings.Count(t[c], "X") }

// connections are the kernels that a table leaves, in the order of outputs and then
// of channels. The parameters have those alone; the kernels compute with the
// others too, which are zero.
type connections struct {
	kernels []int // output · channels + channel
	size    int   // of a kernel

	weights, grad []float32 // of all kernels; weights between the connected ones stay 0
}

// connect returns the connections of outputs with channels, by kernels of some
// size, and how each kernel begins.
func (t Table) connect(out, size int, i Init) (*connections, initializer) {
	c := &connections{size: size}
	weights := initializer{block: size}
	for o := range out {
		for channel := range t {
			if t.sees(o, channel) {
				w, _ := i.of(t.inputs(o)*size, t.outputs(channel)*size)
				weights.distribution, weights.scales = w.distribution, append(weights.scales, w.scale)
				c.kernels = append(c.kernels, o*len(t)+channel)
			}
		}
	}
	c.weights, c.grad = make([]float32, out*len(t)*size), make([]float32, out*len(t)*size)
	return c, weights
}

// expand is all kernels, those that are not connected being zero.
func (c *connections) expand(connected []float32) []float32 {
	for i, k := range c.kernels {
		copy(c.weights[k*c.size:][:c.size], connected[i*c.size:])
	}
	return c.weights
}

// gather takes the gradients of the connected kernels from that of all, c.grad.
func (c *connections) gather(connected []float32) {
	for i, k := range c.kernels {
		copy(connected[i*c.size:][:c.size], c.grad[k*c.size:])
	}
}

// bytes is the memory of the kernels, 0 without a table.
func (c *connections) bytes() int {
	if c == nil {
		return 0
	}
	return floatBytes * (len(c.weights) + len(c.grad))
}
