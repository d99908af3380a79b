package clustertest

import (
	"sync"

	"convoy/data"
)

// Small is a data set of a hundred examples of the built-in digits, in sizes that
// no batch and no number of micro-batches divides.
var Small = sync.OnceValue(func() *data.Set {
	digits := data.Digits()
	about := digits.Manifest
	about.Name, about.Generator = "small", 0
	set, err := data.Import(about, first{digits.Train, 99}, first{digits.Test, 31})
	if err != nil {
		panic(err)
	}
	return set
})

// first is the first n examples of a split.
type first struct {
	data.Split
	n int
}

func (f first) Len() int { return f.n }
