package rng

import (
	"fmt"
	"math/bits"
)

// feistelRounds is more than the four that make a Feistel network of random
// functions indistinguishable from a random permutation (Luby and Rackoff,
// 1988): small domains need more.
const feistelRounds = 8

// Permutation is a permutation of 0…n−1 that needs no memory: a Feistel network over
// the next power of four, walked until it lands below n (Black and Rogaway,
// "Ciphers with arbitrary finite domains", 2002).
type Permutation struct {
	n    uint64
	half uint // bits in each half
	keys [feistelRounds]uint64
}

// NewPermutation returns the order of n ≥ 1 examples in an epoch: for each seed
// and epoch another one.
func NewPermutation(seed uint64, epoch, n int) Permutation {
	if epoch < 0 {
		panic(fmt.Sprintf("rng: permutation in epoch %d: want no negative epoch", epoch))
	}
	return PermutationOf(seed, Shuffle, uint64(epoch), 0, n)
}

// PermutationOf returns the permutation of n ≥ 1 elements that belongs to
// (seed, purpose, i, j): of different arguments, different ones.
func PermutationOf(seed uint64, purpose Purpose, i, j uint64, n int) Permutation {
	if n < 1 {
		panic(fmt.Sprintf("rng: permutation of %d elements: want at least 1", n))
	}
	half := uint(bits.Len64(uint64(n-1))+1) / 2
	p := Permutation{n: uint64(n), half: max(half, 1)}
	s := At(seed, purpose, i, j)
	for i := range p.keys {
		p.keys[i] = s.Uint64()
	}
	return p
}

// Len returns n.
func (p Permutation) Len() int { return int(p.n) }

// At returns which element stands at position i, 0 ≤ i < n. It takes four walks
// at worst on average, mostly one or two.
func (p Permutation) At(i int) int {
	if i < 0 || uint64(i) >= p.n {
		panic(fmt.Sprintf("rng: position %d in a permutation of %d elements", i, p.n))
	}
	x := p.encipher(uint64(i))
	for x >= p.n {
		x = p.encipher(x)
	}
	return int(x)
}

// encipher permutes 0…4^half−1.
func (p *Permutation) encipher(x uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	left, right := x>>p.half, x&mask
	for _, k := range p.keys {
		left, right = right, left^(mix(right+k)&mask)
	}
	return left<<p.half | right
}

// mix is a 64-bit finaliser: every output bit depends on every input bit (after
// splitmix64, Steele, Lea and Flood, 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
