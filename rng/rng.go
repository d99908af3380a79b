// Package rng is Convoy's random numbers: a pure function of (seed, purpose,
// indices), so that no generator is carried from step to step or from machine to
// machine, and a number can be had without those before it.
//
// It promises the same bits everywhere; changing them changes
// job.ArithmeticVersion. The generator is Philox4x32-10 (Salmon, Moraes, Dror
// and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011): ten rounds
// of a cipher over a counter of four words, keyed by the seed.
package rng

import (
	"fmt"
	"math"
	"math/bits"

	"convoy/fmath"
)

// Purpose keeps the numbers of different uses apart. The values are part of the
// arithmetic version: never renumbered, at most 255.
type Purpose uint32

// The purposes, with what their indices i and j count.
const (
	Shuffle Purpose = 1 // i: epoch
	Initial Purpose = 2 // i: parameter tensor, j: four elements
	Digits  Purpose = 3 // i: example
	Dropout Purpose = 4 // i: step, j: example
	Augment Purpose = 5 // i: epoch, j: example

	Validation    Purpose = 6 // i: class
	Mix           Purpose = 7 // of examples at import
	ShuffleShards Purpose = 8 // i: epoch
	ShuffleWindow Purpose = 9 // i: epoch, j: window

	Audit Purpose = 10 // i: step, j: node; what it chooses is no part of the arithmetic
)

// Stream is a sequence of random numbers of its own: at most 2²⁶ words long. It
// is a value; copying it repeats it.
type Stream struct {
	counter [4]uint32
	key     [2]uint32
	block   [4]uint32
	used    int // words of block handed out; 4 when a new block is due
}

// At returns the stream of (seed, p, i, j), j < 2³². Streams of different
// arguments share no block of numbers.
func At(seed uint64, p Purpose, i, j uint64) Stream {
	if p > 255 || j > math.MaxUint32 {
		panic(fmt.Sprintf("rng: purpose %d, second index %d: want at most 255 and 2³²−1", p, j))
	}
	return Stream{
		counter: [4]uint32{uint32(p) << 24, uint32(j), uint32(i), uint32(i >> 32)},
		key:     [2]uint32{uint32(seed), uint32(seed >> 32)},
		used:    4,
	}
}

// Uint32 returns the next 32 bits.
func (s *Stream) Uint32() uint32 {
	if s.used == 4 {
		s.refill()
	}
	v := s.block[s.used]
	s.used++
	return v
}

const tooLong = "rng: a stream of more than 2²⁶ words: use more indices"

// blockMask is the bits of the counter that count blocks.
const blockMask = 1<<24 - 1

func (s *Stream) refill() {
	s.block = philox(s.counter, s.key)
	s.used = 0
	// The purpose stands above the 24 bits that count blocks.
	if s.counter[0]++; s.counter[0]&blockMask == 0 {
		panic(tooLong)
	}
}

// Skip leaves out the next n words.
func (s *Stream) Skip(n int) {
	rest := min(n, 4-s.used)
	s.used += rest
	blocks := (n - rest) / 4
	if blocks > blockMask-int(s.counter[0]&blockMask) {
		panic(tooLong)
	}
	s.counter[0] += uint32(blocks)
	for range (n - rest) % 4 {
		s.Uint32()
	}
}

// Uint64 returns the next 64 bits, the first word low.
func (s *Stream) Uint64() uint64 {
	low := uint64(s.Uint32())
	return low | uint64(s.Uint32())<<32
}

// Float32 returns a number in [0, 1), a multiple of 2⁻²⁴.
func (s *Stream) Float32() float32 { return float32(float32(s.Uint32()>>8) * 0x1p-24) }

// Float64 returns a number in [0, 1), a multiple of 2⁻⁵³.
func (s *Stream) Float64() float64 { return float64(float64(s.Uint64()>>11) * 0x1p-53) }

// Intn returns a number in [0, n), all equally likely (Lemire, "Fast random
// integer generation in an interval", 2019, in 64 bits). It panics unless n > 0.
func (s *Stream) Intn(n int) int {
	if n <= 0 {
		panic(fmt.Sprintf("rng: Intn(%d): want a positive bound", n))
	}
	bound := uint64(n)
	high, low := bits.Mul64(s.Uint64(), bound)
	for low < bound && low < -bound%bound {
		high, low = bits.Mul64(s.Uint64(), bound)
	}
	return int(high)
}

// Normals returns two independent normally distributed numbers of mean 0 and
// variance 1, made of two words (Box and Muller, "A note on the generation of
// random normal deviates", 1958). None is further than 6.7 from 0.
func (s *Stream) Normals() (x, y float64) {
	u := float64((float64(s.Uint32()) + 1) * 0x1p-32) // in (0, 1]
	angle := float64(2 * math.Pi * 0x1p-32 * float64(s.Uint32()))
	r := math.Sqrt(-2 * fmath.Log(u))
	return float64(r * fmath.Cos(angle)), float64(r * fmath.Sin(angle))
}

// philox is Philox4x32-10: a bijection of counters for each key.
func philox(c [4]uint32, k [2]uint32) [4]uint32 {
	const (
		m0, m1 = 0xd2511f53, 0xcd9e8d57
		w0, w1 = 0x9e3779b9, 0xbb67ae85 // golden ratio and √3 − 1
	)
	c0, c1, c2, c3 := c[0], c[1], c[2], c[3]
	k0, k1 := k[0], k[1]
	for range 10 {
		p, q := uint64(c0)*m0, uint64(c2)*m1
		c0, c1, c2, c3 = uint32(q>>32)^c1^k0, uint32(q), uint32(p>>32)^c3^k1, uint32(p)
		k0 += w0
		k1 += w1
	}
	return [4]uint32{c0, c1, c2, c3}
}
