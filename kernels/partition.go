package kernels

import (
	"math/bits"
	"unsafe"
)

// partition cuts n things evenly into as few parts as have at most limit each.
type partition struct{ n, parts int }

func newPartition(n, limit int) partition { return partition{n, (n + limit - 1) / limit} }

// from is where part i begins; part i ends where part i+1 begins.
func (p partition) from(i int) int { return i * p.n / p.parts }

// part returns where part i begins and its length.
func (p partition) part(i int) (from, n int) { return p.from(i), p.from(i+1) - p.from(i) }

// longest is the length of the longest part.
func (p partition) longest() int { return (p.n + p.parts - 1) / p.parts }

// at returns the part that begins at from.
func (p partition) at(from int) int {
	i := from * p.parts / p.n
	for p.from(i) < from {
		i++
	}
	return i
}

// A treeOrder says which sums of micro-batches to add when, so that they are
// added as tree.Sum does. The caller keeps a stack of sums: it pushes that of
// each micro-batch that has examples and then, as often as after says, adds the
// top one to the one below and drops it. One is left in the end.
type treeOrder struct {
	next uint   // micro-batch
	held uint64 // bit l: there is a sum of the block of 2^l left of next
}

// after tells that the next micro-batch is pushed, if it has examples, and
// returns how many additions are due.
func (t *treeOrder) after(present bool) (additions int) {
	m := t.next
	t.next++
	for level := 0; ; level++ {
		bit := uint64(1) << level
		if m&1 == 0 {
			if present {
				t.held |= bit
			}
			return additions
		}
		if t.held&bit != 0 {
			if present {
				additions++
			}
			present = true
			t.held &^= bit
		}
		m >>= 1
	}
}

// stackDepth is how many sums a stack in treeOrder holds at most.
func stackDepth(cuts []int) int { return bits.Len(uint(len(cuts) - 1)) }

// addTo does dst[i] += v[i], for as many as are a multiple of vectorGroup.
func (i *isa) addTo(l *local, dst, v []float32) {
	l.rows = rows{
		x: unsafe.Pointer(&v[0]), g: unsafe.Pointer(&dst[0]), y: unsafe.Pointer(&dst[0]),
		rows: 1, n: uintptr(len(v)),
	}
	i.element[opAdd](&l.rows)
	l.rows = rows{}
}
