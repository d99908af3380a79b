package nn

import (
	"fmt"
	"math"

	"convoy/rng"
)

// An initializer says how a parameter begins: uniform in [−bound, bound], or all
// zeros where the bound is 0.
type initializer struct{ bound float64 }

var zeros initializer

// xavier is the uniform initialisation of Glorot and Bengio, "Understanding the
// difficulty of training deep feedforward neural networks", 2010, equation 16.
func xavier(fanIn, fanOut int) initializer {
	return initializer{math.Sqrt(6 / float64(fanIn+fanOut))}
}

// blockWords is how many numbers the generator makes at once.
const blockWords = 4

// Init writes the initial parameters that follow from seed into dst, as long as
// NumParams. Each value is a pure function of seed, the tensor's place in
// Tensors and the element's in the tensor.
func (n *Net) Init(seed uint64, dst []float32) {
	if len(dst) != n.params {
		panic(fmt.Sprintf("nn: initial parameters into %d elements, want %d", len(dst), n.params))
	}
	for i, p := range n.tensors {
		v := dst[p.Offset : p.Offset+p.Len]
		if p.init == zeros {
			clear(v)
			continue
		}
		for j := 0; j < len(v); j += blockWords {
			s := rng.At(seed, rng.Initial, uint64(i), uint64(j/blockWords))
			for k := j; k < min(j+blockWords, len(v)); k++ {
				v[k] = float32(p.init.bound * (float64(2*s.Float32()) - 1))
			}
		}
	}
}
