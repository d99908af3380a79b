package kernels

import (
	"fmt"
	"unsafe"
)

// Maps are the feature maps of some examples in NHWC order: channel c of pixel p,
// the pixels of all examples counted in row-major order, is V[p·Pitch+c]. Pitch is
// the number of channels, or more where the maps are a window of the channels of
// other maps, as a branch of an inception block has.
type Maps struct {
	V     []float32
	Pitch int
}

// Window is the maps from channel first on; they still have m's pitch.
func (m Maps) Window(first int) Maps { return Maps{m.V[first:], m.Pitch} }

// from is the maps from pixel p on.
func (m Maps) from(p int) Maps { return Maps{m.V[p*m.Pitch:], m.Pitch} }

// at points at channel c of pixel p.
func (m Maps) at(p, c int) unsafe.Pointer { return unsafe.Pointer(&m.V[p*m.Pitch+c]) }

// check panics unless m has room for pixels of c channels.
func (m Maps) check(op, name string, pixels, c int) {
	if m.Pitch < c || pixels > 0 && len(m.V) < (pixels-1)*m.Pitch+c {
		panic(fmt.Sprintf("kernels: %s: %s has %d elements at a pitch of %d, want %d pixels of %d channels",
			op, name, len(m.V), m.Pitch, pixels, c))
	}
}

// alignment is that of a cache line and of the widest vectors, in bytes.
const alignment = 64

// Floats returns n zeros at an address that suits vectors.
func Floats(n int) []float32 {
	v := make([]float32, n+alignment/4)
	skip := -int(uintptr(unsafe.Pointer(&v[0]))/4) & (alignment/4 - 1)
	return v[skip : skip+n : skip+n]
}

// grow returns v with length n, in new memory if it is too short; the elements
// are not kept.
func grow(v []float32, n int) []float32 {
	if cap(v) < n {
		return Floats(n)
	}
	return v[:n]
}
