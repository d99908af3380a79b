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
	// Without a branch for each: an exponent of ones, and no other, carries into
	// the sign when 1 is added to it.
	for len(v) > 0 {
		block := v[:min(len(v), 1<<10)]
		var carried uint32
		for _, x := range block {
			carried |= math.Float32bits(x)&exponent + 1<<23
		}
		if carried>>31 != 0 {
			return false
		}
		v = v[len(block):]
	}
	return true
}

// Divide computes dst[i] = v[i]/n, a true division; dst may be v.
func Divide(dst, v []float32, n float32) {
	if len(dst) != len(v) {
		panic(fmt.Sprintf("floats: divide %d floats into %d", len(v), len(dst)))
	}
	if mantissa := math.Float32bits(n) << 9; mantissa == 0 && n > 0x1p-100 && n < 0x1p100 {
		inverse := 1 / n // of a power of two: the product is the quotient
		for i, x := range v {
			dst[i] = x * inverse
		}
		return
	}
	for i, x := range v {
		dst[i] = x / n
	}
}
