package nn

import "convoy/kernels"

// Flatten makes one vector of an image, channel by channel and row by row, as
// PyTorch's does.
type Flatten struct{}

func (Flatten) String() string { return "Flatten" }
func (Flatten) kind() string   { return "flatten" }

func (Flatten) bind(_ *binder, in Shape) (operator, error) { return flatten{in}, nil }

type flatten struct{ in Shape }

func (f flatten) out() Shape         { return Shape{f.in.Len(), 1, 1} }
func (f flatten) traits() traits     { return traits{view: f.in.C == 1 || f.in.pixels() == 1} }
func (f flatten) window() (int, int) { return max(f.in.H, f.in.W), 1 }

// forward moves nothing where the memory is the vector's already.
func (f flatten) forward(r *run, x, y kernels.Maps) {
	if !same(x, y) {
		kernels.MapsToNCHW(r.pool, r.n, f.in.C, f.in.pixels(), x, y.V)
	}
}

func (f flatten) backward(r *run, _, _, gy, gx kernels.Maps, _ bool) {
	if gx.V != nil && !same(gy, gx) {
		kernels.NCHWToMaps(r.pool, r.n, f.in.C, f.in.pixels(), gy.V, gx)
	}
}
