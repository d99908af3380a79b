// Package floats views float32 slices as the little-endian bytes that wires,
// files and digests are defined on, without copying. It builds on little-endian
// machines only.
package floats

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// Bytes returns the little-endian bytes of v. It shares v's memory.
func Bytes(v []float32) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v))
}

// Decode returns the floats whose little-endian bytes are b, in memory of their
// own. The length of b must be a multiple of 4.
func Decode(b []byte) ([]float32, error) {
	if len(b)%4 != 0 {
		return nil, fmt.Errorf("%d bytes are no whole number of float32", len(b))
	}
	v := make([]float32, len(b)/4)
	copy(Bytes(v), b)
	return v, nil
}

// Two floats in a word: an exponent of ones, and no other, carries into the sign
// when 1 is added to it, once the signs are masked.
const (
	exponents = 0x7f800000_7f800000
	ones      = 1<<(32+23) | 1<<23
	signs     = 1<<63 | 1<<31
)

// Finite reports whether no element of v is infinite or NaN.
func Finite(v []float32) bool {
	// Two at a time and without a branch for each.
	if n := len(v); n%2 != 0 {
		if math.Float32bits(v[n-1])&0x7f800000 == 0x7f800000 {
			return false
		}
		v = v[:n-1]
	}
	b := Bytes(v)
	var carried uint64
	for ; len(b) >= 32; b = b[32:] {
		carried |= (binary.LittleEndian.Uint64(b)&exponents + ones) |
			(binary.LittleEndian.Uint64(b[8:])&exponents + ones) |
			(binary.LittleEndian.Uint64(b[16:])&exponents + ones) |
			(binary.LittleEndian.Uint64(b[24:])&exponents + ones)
	}
	for ; len(b) > 0; b = b[8:] {
		carried |= binary.LittleEndian.Uint64(b)&exponents + ones
	}
	return carried&signs == 0
}
