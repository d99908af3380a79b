package floats

import (
	"encoding/binary"
	"fmt"
	"math"
)

// bfloat16 is the upper half of a float32: its sign and exponent with 7 bits of
// the fraction (Kalamkar et al., "A study of BFLOAT16 for deep learning training",
// 2019).

// RoundBF16 rounds each element of v to the nearest bfloat16, of two as near to
// the one whose last bit is 0. What is beyond the largest becomes infinite; a NaN
// stays one.
func RoundBF16(v []float32) {
	if n := len(v); n%2 != 0 {
		v[n-1] = math.Float32frombits(roundBF16(math.Float32bits(v[n-1])))
		v = v[:n-1]
	}
	// Two at a time: where neither is infinite or NaN no carry leaves its half.
	const half, last, upper = 0x00007fff_00007fff, 0x00000001_00000001, 0xffff0000_ffff0000
	for b := Bytes(v); len(b) > 0; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		if (x&exponents+ones)&signs != 0 {
			binary.LittleEndian.PutUint32(b, roundBF16(uint32(x)))
			binary.LittleEndian.PutUint32(b[4:], roundBF16(uint32(x>>32)))
			continue
		}
		binary.LittleEndian.PutUint64(b, (x+half+x>>16&last)&upper)
	}
}

func roundBF16(b uint32) uint32 {
	if b&0x7fffffff > 0x7f800000 {
		return b&0xffff0000 | 0x00400000 // NaN: quiet, so that no fraction of zeros is left
	}
	return (b + 0x7fff + b>>16&1) & 0xffff0000
}

// IsBF16 reports whether all elements of v are bfloat16.
func IsBF16(v []float32) bool {
	var lower uint32
	for _, x := range v {
		lower |= math.Float32bits(x)
	}
	return lower<<16 == 0
}

// AppendBF16 appends the little-endian upper halves of v to b: all of it, where
// v is bfloat16.
func AppendBF16(b []byte, v []float32) []byte {
	n := len(b)
	b = append(b, make([]byte, 2*len(v))...)
	for i, x := range v {
		binary.LittleEndian.PutUint16(b[n+2*i:], uint16(math.Float32bits(x)>>16))
	}
	return b
}

// DecodeBF16 returns the floats that AppendBF16 wrote.
func DecodeBF16(b []byte) ([]float32, error) {
	if len(b)%2 != 0 {
		return nil, fmt.Errorf("%d bytes are no whole number of bfloat16", len(b))
	}
	v := make([]float32, len(b)/2)
	for i := range v {
		v[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
	}
	return v, nil
}
