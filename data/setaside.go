package data

import "convoy/rng"

// Aside says how the test examples of a set that came without any were chosen.
type Aside struct {
	Of10000 int    `json:"of_10000"` // training examples
	Seed    uint64 `json:"seed"`
}

// labelled are examples whose labels are known before they are read.
type labelled interface {
	examples
	label(i int) int
}

// chosen are the examples that indices name, in that order.
type chosen struct {
	from    examples
	indices []int
}

func (c chosen) Len() int { return len(c.indices) }

func (c chosen) read(i int, pixels []byte) (int, error) { return c.from.read(c.indices[i], pixels) }

// setAside takes a part of every class's training examples as test examples: of
// a class with n, the nearest whole number to that part of n, but at least one
// and never all. Which ones follows from the seed and the class; both splits
// keep the order that the examples had.
func (s source) setAside(o Options) source {
	part := o.Validation
	if part == 0 {
		part = defaultValidation
	}
	all := s.train.(labelled)
	classes := make([][]int, s.about.Classes)
	for i := range all.Len() {
		classes[all.label(i)] = append(classes[all.label(i)], i)
	}
	aside := make([]bool, all.Len())
	for class, members := range classes {
		if len(members) < 2 {
			continue
		}
		take := (2*len(members)*part + ValidationUnit) / (2 * ValidationUnit)
		order := rng.PermutationOf(o.Seed, rng.Validation, uint64(class), 0, len(members))
		for k := range min(max(take, 1), len(members)-1) {
			aside[members[order.At(k)]] = true
		}
	}
	train, test := chosen{from: all}, chosen{from: all}
	for i, taken := range aside {
		if taken {
			test.indices = append(test.indices, i)
		} else {
			train.indices = append(train.indices, i)
		}
	}
	s.train, s.test = train, test
	s.about.Validation = &Aside{Of10000: part, Seed: o.Seed}
	return s
}

// shuffle mixes the training examples, so that a few shards hold all classes.
func (s source) shuffle(seed uint64) source {
	n := s.train.Len()
	if n == 0 {
		return s
	}
	mixed := chosen{from: s.train, indices: make([]int, n)}
	order := rng.PermutationOf(seed, rng.Mix, 0, 0, n)
	for i := range mixed.indices {
		mixed.indices[i] = order.At(i)
	}
	s.train = mixed
	return s
}
