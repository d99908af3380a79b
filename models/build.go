package models

import (
	"errors"
	"fmt"
	"sort"

	"convoy/kernels"
	"convoy/nn"
)

// Bounds of a network: a state's transfer takes so many parameters, and an image
// is searched for up to so many pixels a side.
const (
	maxParams = 1<<31 - 1
	maxSide   = 1 << 12
)

// Build binds the model to images of a shape. The error for images that are too
// small names the layer that nothing is left for, and the smallest square of
// pixels that works.
func (m Model) Build(classes int, in nn.Shape, o nn.Options) (*nn.Net, error) {
	layers := m.Layers(classes)
	net, err := nn.Build(layers, in, o)
	if tooSmall(err) {
		if side := smallest(layers, in, o); side > 0 {
			return nil, fmt.Errorf("images of %d×%d are too small, the smallest that work are %d×%d: %w", in.H, in.W, side, side, err)
		}
	}
	if err != nil {
		return nil, err
	}
	if net.NumParams() > maxParams {
		return nil, fmt.Errorf("it has %d parameters, at most %d can be trained: take fewer channels", net.NumParams(), maxParams)
	}
	return net, nil
}

func tooSmall(err error) bool { return errors.As(err, new(kernels.TooSmall)) }

// smallest is the side of the smallest square image that layers can be built for,
// 0 if there is none. A window that fits into an image fits into larger ones.
func smallest(layers nn.Chain, in nn.Shape, o nn.Options) int {
	build := func(side int) error {
		_, err := nn.Build(layers, nn.Shape{C: in.C, H: side, W: side}, o)
		return err
	}
	side := 1 + sort.Search(maxSide, func(i int) bool { return !tooSmall(build(1 + i)) })
	if side > maxSide || build(side) != nil {
		return 0
	}
	return side
}
