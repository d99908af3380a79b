// Package digest names vectors and states by their bits.
//
// A vector of float32 is cut into leaves of 64 KiB of little-endian bytes; each
// leaf is hashed with xxh3-128, which runs at the speed of memory and guards
// against accident, not malice. What ties leaves together is SHA-256.
package digest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"

	"github.com/zeebo/xxh3"

	"convoy/floats"
)

// LeafFloats is how many float32 a leaf holds. It is part of the arithmetic
// version and has nothing to do with the chunks of the wire.
const LeafFloats = 64 << 10 / 4

// Sum is a SHA-256 digest.
type Sum [sha256.Size]byte

func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// IsZero reports whether s is the zero value, which stands for "no digest".
func (s Sum) IsZero() bool { return s == Sum{} }

// Parse reads the 64 hex digits that String prints.
func Parse(text string) (Sum, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != sha256.Size {
		return Sum{}, fmt.Errorf("%q is no digest: want %d hex digits", text, 2*sha256.Size)
	}
	return Sum(b), nil
}

// FromBytes reads a digest from a message; ok is false unless b has its length.
func FromBytes(b []byte) (s Sum, ok bool) {
	if len(b) != len(s) {
		return Sum{}, false
	}
	return Sum(b), true
}

// Of is the SHA-256 of b.
func Of(b []byte) Sum { return sha256.Sum256(b) }

// Vector is the part of a state that Tensors digests: a name and its floats.
type Vector struct {
	Name   string
	Floats []float32
}

// Tensors digests vectors with their names and lengths under a format tag.
func Tensors(tag string, vectors ...Vector) Sum {
	h := sha256.New()
	writeText(h, tag)
	for _, v := range vectors {
		writeHead(h, v.Name, len(v.Floats))
		for i := range Leaves(len(v.Floats)) {
			writeLeaf(h, LeafOf(LeafAt(v.Floats, i)))
		}
	}
	return Sum(h.Sum(nil))
}

// A Leaf is the digest of LeafFloats floats, or of the last of a vector.
type Leaf [16]byte

// LeafOf digests a leaf.
func LeafOf(v []float32) Leaf { return xxh3.Hash128(floats.Bytes(v)).Bytes() }

// Leaves is how many leaves n floats have.
func Leaves(n int) int { return (n + LeafFloats - 1) / LeafFloats }

// LeafAt is leaf i of v.
func LeafAt(v []float32, i int) []float32 {
	return v[i*LeafFloats : min((i+1)*LeafFloats, len(v))]
}

// Hashed is a Vector of which the leaves' digests alone are given, as whoever
// computes them in parallel has them.
type Hashed struct {
	Name   string
	Len    int // floats
	Leaves []Leaf
}

// OfLeaves is Tensors of vectors whose leaves are digested.
func OfLeaves(tag string, vectors ...Hashed) Sum {
	h := sha256.New()
	writeText(h, tag)
	for _, v := range vectors {
		writeHead(h, v.Name, v.Len)
		for _, l := range v.Leaves {
			writeLeaf(h, l)
		}
	}
	return Sum(h.Sum(nil))
}

func writeHead(w io.Writer, name string, floats int) {
	writeText(w, name)
	writeUint(w, uint64(floats))
}

func writeLeaf(w io.Writer, l Leaf) { write(w, l[:]) }

// Gradient is a gradient's digest: 16 bytes, xxh3-128 over its leaves' digests.
type Gradient [16]byte

// Sums are what is added up over a step's examples beside the gradient.
type Sums struct {
	Loss     float64
	Correct  int // the greatest logit is the label's
	Top5     int // fewer than 5 logits are greater than the label's
	Examples int
}

// OfGradient digests a step's gradient together with the sums that travel with
// it, so that an evaluation, whose gradient is empty, has a digest of its own.
func OfGradient(g []float32, s Sums) Gradient {
	h := xxh3.New()
	for i := range Leaves(len(g)) {
		writeLeaf(h, LeafOf(LeafAt(g, i)))
	}
	return gradient(h, s)
}

// OfGradientLeaves is OfGradient of a gradient whose leaves are digested.
func OfGradientLeaves(leaves []Leaf, s Sums) Gradient {
	h := xxh3.New()
	for _, l := range leaves {
		writeLeaf(h, l)
	}
	return gradient(h, s)
}

func gradient(h *xxh3.Hasher, s Sums) Gradient {
	writeUint(h, math.Float64bits(s.Loss))
	writeUint(h, uint64(s.Correct))
	writeUint(h, uint64(s.Top5))
	writeUint(h, uint64(s.Examples))
	return h.Sum128().Bytes()
}

// Chain0 is c(0) = H(R, digest of state 0).
func Chain0(recipe, state Sum) Sum {
	h := sha256.New()
	writeText(h, "convoy chain 0")
	write(h, recipe[:])
	write(h, state[:])
	return Sum(h.Sum(nil))
}

// Next is c(t+1) = H(c(t), digest of gradient t).
func Next(chain Sum, g Gradient) Sum {
	h := sha256.New()
	write(h, chain[:])
	write(h, g[:])
	return Sum(h.Sum(nil))
}

// Chunk is the checksum of one chunk on the wire.
func Chunk(v []float32) uint64 { return xxh3.Hash(floats.Bytes(v)) }

// Bytes guards bytes on the wire: their xxh3.
func Bytes(b []byte) uint64 { return xxh3.Hash(b) }

func writeText(w io.Writer, s string) {
	writeUint(w, uint64(len(s)))
	write(w, []byte(s))
}

func writeUint(w io.Writer, u uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], u)
	write(w, b[:])
}

// write feeds a hash, which never fails.
func write(w io.Writer, b []byte) {
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
}
