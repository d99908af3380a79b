package clustertest

import (
	"sync"
	"testing"

	"convoy/data"
)

// Small is a data set of a hundred examples of the built-in digits, in sizes that
// no batch and no number of micro-batches divides; with -short, as under the race
// detector, which makes computing twenty times slower, it is half of that.
var Small = sync.OnceValue(func() *data.Set { return small(4 << 20) })

// Sharded is Small in shards of 5 examples.
var Sharded = sync.OnceValue(func() *data.Set { return small(4 << 10) })

func small(shard int) *data.Set {
	if testing.Short() {
		return digits(43, 5, shard)
	}
	return digits(99, 31, shard)
}

// digits is a data set called small of the first so many of the built-in digits,
// in shards of so many bytes.
func digits(train, test, shard int) *data.Set {
	digits := data.Digits()
	about := digits.Manifest
	about.Name, about.Generator = "small", 0
	set, err := data.ImportInShards(about, first{digits.Train, train}, first{digits.Test, test}, shard)
	if err != nil {
		panic(err)
	}
	return set
}

// first is the first n examples of a split.
type first struct {
	data.Split
	n int
}

func (f first) Len() int { return f.n }
