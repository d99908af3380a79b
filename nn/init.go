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
	leCun
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

	// LeCun begins with weights that are uniform in ±2.4/fanIn and with biases of 0
	// (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
	// recognition", 1998, appendix A).
	LeCun = Init{rule: leCun}
)

// Gaussian begins with weights that are normally distributed around 0 and with
// equal biases.
func Gaussian(deviation, bias float64) Init { return Init{gaussian, deviation, bias} }

// of returns how weights begin that bring fanIn values to an output and an input
// to fanOut outputs, and how the bias does.
func (i Init) of(fanIn, fanOut int) (weights, bias initializer) {
	switch i.rule {
	case he:
		weights = initializer{distribution: normally, scale: math.Sqrt(2 / float64(fanIn))}
	case gaussian:
		weights = initializer{distribution: normally, scale: i.deviation}
	case leCun:
		weights = initializer{distribution: uniformly, scale: 2.4 / float64(fanIn)}
	default:
		weights = initializer{distribution: uniformly, scale: math.Sqrt(6 / float64(fanIn+fanOut))}
	}
	return weights, initializer{scale: i.bias}
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

func (l Named) initialised(i Init) Layer {
	l.Layer = Chain{l.Layer}.Initialised(i)[0]
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
	// scales, of blocks of so many values, take the place of scale where the
	// blocks begin differently.
	scales []float64
	block  int
	values []float32
}

// at is the scale of value i.
func (n initializer) at(i int) float64 {
	if n.scales != nil {
		return n.scales[i/n.block]
	}
	return n.scale
}

type distribution int

const (
	allEqual  distribution = iota // to scale
	uniformly                     // in [−scale, scale]
	normally                      // around 0
	copied                        // from values
)

// fill writes the elements of a tensor from number first on, a multiple of
// blockWords; the tensor is the one at place in the network.
func (n initializer) fill(v []float32, seed, place uint64, first int) {
	if n.distribution == copied {
		copy(v, n.values[first:])
		return
	}
	if n.distribution == allEqual {
		for j := range v {
			v[j] = float32(n.at(first + j))
		}
		return
	}
	for j := 0; j < len(v); j += blockWords {
		s := rng.At(seed, rng.Initial, place, uint64((first+j)/blockWords))
		n.draw(v[j:min(j+blockWords, len(v))], first+j, &s)
	}
}

// draw fills v, at most blockWords numbers from a tensor's value first on, with
// what a stream gives.
func (n initializer) draw(v []float32, first int, s *rng.Stream) {
	for k := 0; k < len(v); k++ {
		if n.distribution == uniformly {
			v[k] = float32(n.at(first+k) * (float64(2*s.Float32()) - 1))
			continue
		}
		x, y := s.Normals()
		v[k] = float32(n.at(first+k) * x)
		if k++; k < len(v) {
			v[k] = float32(n.at(first+k) * y)
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
