package state

import "fmt"

// MaxChunks bounds what a message may claim: 2³¹ floats in chunks of 4 kB.
const MaxChunks = 1 << 21

// Assembly puts a vector together from chunks that come in any order, any
// number of times. A vector of one chunk is used as it came, without a copy.
type Assembly struct {
	data  []float32
	have  []bool
	count int
}

// NewAssembly starts a vector that comes in the given number of chunks.
func NewAssembly(chunks int) *Assembly { return &Assembly{have: make([]bool, chunks)} }

// Chunks is the number of chunks the vector comes in.
func (a *Assembly) Chunks() int { return len(a.have) }

// Count is how many different chunks are there.
func (a *Assembly) Count() int { return a.count }

// Complete reports whether all of them are.
func (a *Assembly) Complete() bool { return a.count == len(a.have) }

// Data is the vector once it is complete. It may share memory with a message,
// so nobody writes to it.
func (a *Assembly) Data() []float32 { return a.data }

// Add puts chunk i of a vector of n floats in place and reports whether it was
// new.
func (a *Assembly) Add(n, chunks, i int, chunk []float32) (fresh bool, err error) {
	if chunks != len(a.have) || i < 0 || i >= chunks {
		return false, fmt.Errorf("chunk %d of %d for a vector of %d chunks", i, chunks, len(a.have))
	}
	low, high := Chunk(n, chunks, i)
	if len(chunk) != high-low {
		return false, fmt.Errorf("chunk %d of %d has %d floats, want %d", i, chunks, len(chunk), high-low)
	}
	if a.have[i] {
		return false, nil
	}
	a.have[i] = true
	a.count++
	if chunks == 1 {
		a.data = chunk
		return true, nil
	}
	if a.data == nil {
		a.data = make([]float32, n)
	}
	copy(a.data[low:high], chunk)
	return true, nil
}
