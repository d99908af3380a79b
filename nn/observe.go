package nn

import (
	"fmt"
	"strings"

	"convoy/kernels"
)

// Observe computes one image's forward pass, without dropout, and returns the
// output of the layer called name (as Layers names it, or of the branches that a
// prefix of such names stands for): its shape and its values, [C][H][W].
// image is [C][H][W], params NumParams long.
//
// No layer is fused with another on the way, so that all of them can be seen. The
// values are those that training computes where the algorithm is the same, and
// differ in the last bits behind layers that the kernels otherwise compute with
// images in the lanes of vectors.
func (n *Net) Observe(pool *kernels.Pool, params, image []float32, name string) (Shape, []float32, error) {
	if len(params) != n.params || len(image) != n.in.Len() {
		panic(fmt.Sprintf("nn: observe %d parameters and an image of %d values, want %d and %v", len(params), len(image), n.params, n.in))
	}
	b := newBinder(n.options, false)
	b.apart = true
	op := n.mustBind(b)
	p := &Pass{net: n, op: op, run: run{pool: pool, packers: b.packers, n: 1}}
	var shape Shape
	var values []float32
	p.run.observe = func(layer string, s Shape, y kernels.Maps) {
		if layer == name {
			shape, values = s, make([]float32, s.Len())
			kernels.MapsToNCHW(pool, 1, s.C, s.pixels(), y, values)
		}
	}
	p.begin(params, false)
	op.forward(&p.run, p.input(image), p.run.maps(&p.logits, n.out))
	if values == nil {
		return shape, nil, n.noLayer(name)
	}
	return shape, values, nil
}

// noLayer lists the layers that there are.
func (n *Net) noLayer(name string) error {
	var list []string
	for _, info := range n.infos {
		if !info.Auxiliary {
			list = append(list, fmt.Sprintf("%s (%s)", info.Name, info.Layer))
		}
	}
	return fmt.Errorf("the network has no layer %q: name one of %s", name, strings.Join(list, ", "))
}
