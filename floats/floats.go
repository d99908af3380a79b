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
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v, nil
}

// Finite reports whether no element of v is infinite or NaN.
func Finite(v []float32) bool {
	const exponent = 0x7f800000
	for _, x := range v {
		if math.Float32bits(x)&exponent == exponent {
			return false
		}
	}
	return true
}
