package nn

import (
	"fmt"
	"math"
	"runtime"

	"convoy/kernels"
	"convoy/rng"
)

// Init says how the weights and the bias of a Conv or Linear layer begin. The zero
// value is Xavier.
type Init struct {
	rule      rule
	deviation float64 // of Gaussian weights
	bias      float64
}

type rule int

const (
	xavier rule = iota
	he
	gaussian
)

var (
	// Xavier begins with weights that are uniform in ±√(6/(fanIn+fanOut)) and with
	// biases of 0 (Glorot and Bengio, "Understanding the difficulty of training deep
	// feedforward neural networks", 2010, equation 16).
	Xavier = Init{rule: xavier}

	// He begins with weights that are normally distributed with variance 2/fanIn and
	// with biases of 0 (He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015,
	// equation 10).
	He = Init{rule: he}
)

// Gaussian begins with weights that are normally distributed around 0 and with
// equal biases.
func Gaussian(deviation, bias float64) Init { return Init{gaussian, deviation, bias} }

// of returns how weights begin that bring fanIn values to an output and an input
// to fanOut outputs, and how the bias does.
func (i Init) of(fanIn, fanOut int) (weights, bias initializer) {
	switch i.rule {
	case he:
		weights = initializer{normally, math.Sqrt(2 / float64(fanIn))}
	case gaussian:
		weights = initializer{normally, i.deviation}
	default:
		weights = initializer{uniformly, math.Sqrt(6 / float64(fanIn+fanOut))}
	}
	return weights, initializer{allEqual, i.bias}
}

// Initialised returns the chain with layers that begin as i says, those with an
// Init of their own left out.
func (l Chain) Initialised(i Init) Chain {
	c := make(Chain, len(l))
	for j, layer := range l {
		if p, ok := layer.(interface{ initialised(i Init) Layer }); ok {
			layer = p.initialised(i)
		}
		c[j] = layer
	}
	return c
}

func (l Chain) initialised(i Init) Layer { return l.Initialised(i) }

func (l Branches) initialised(i Init) Layer {
	b := make(Branches, len(l))
	for j, c := range l {
		b[j] = c.Initialised(i)
	}
	return b
}

func (l Conv) initialised(i Init) Layer {
	if l.Init == (Init{}) {
		l.Init = i
	}
	return l
}

func (l Linear) initialised(i Init) Layer {
	if l.Init == (Init{}) {
		l.Init = i
	}
	return l
}

// An initializer says how a parameter begins.
type initializer struct {
	distribution distribution
	scale        float64 // the constant, the bound, or the standard deviation
}

type distribution int

const (
	allEqual  distribution = iota // to scale
	uniformly                     // in [−scale, scale]
	normally                      // around 0
)

// fill writes the elements of a tensor from number first on, a multiple of
// blockWords; the tensor is the one at place in the network.
func (i initializer) fill(v []float32, seed, place uint64, first int) {
	if i.distribution == allEqual {
		for j := range v {
			v[j] = float32(i.scale)
		}
		return
	}
	for j := 0; j < len(v); j += blockWords {
		s := rng.At(seed, rng.Initial, place, uint64((first+j)/blockWords))
		i.draw(v[j:min(j+blockWords, len(v))], &s)
	}
}

// draw writes at most blockWords elements with what a stream gives.
func (i initializer) draw(v []float32, s *rng.Stream) {
	for k := 0; k < len(v); k++ {
		if i.distribution == uniformly {
			v[k] = float32(i.scale * (float64(2*s.Float32()) - 1))
			continue
		}
		x, y := s.Normals()
		v[k] = float32(i.scale * x)
		if k++; k < len(v) {
			v[k] = float32(i.scale * y)
		}
	}
}

const (
	blockWords = 4       // numbers that the generator makes at once
	fillAtOnce = 1 << 16 // elements of a task, a multiple of blockWords
)

// Init writes the initial parameters that follow from seed into dst, as long as
// NumParams. Each value is a pure function of seed, the tensor's place in
// Tensors and the element's in the tensor.
func (n *Net) Init(seed uint64, dst []float32) {
	if len(dst) != n.params {
		panic(fmt.Sprintf("nn: initial parameters into %d elements, want %d", len(dst), n.params))
	}
	pool := kernels.NewPool(runtime.GOMAXPROCS(0))
	defer pool.Close()
	for i, p := range n.tensors {
		v := dst[p.Offset : p.Offset+p.Len]
		pool.Run((len(v)+fillAtOnce-1)/fillAtOnce, func(task int) {
			first := task * fillAtOnce
			p.init.fill(v[first:min(first+fillAtOnce, len(v))], seed, uint64(i), first)
		})
	}
}
