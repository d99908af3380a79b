package models

import (
	"convoy/nn"
	"convoy/optim"
)

// Layout names the parts of a network's parameter vector for its state.
func Layout(net *nn.Net) []optim.Tensor {
	layout := make([]optim.Tensor, 0, len(net.Tensors()))
	for _, t := range net.Tensors() {
		layout = append(layout, optim.Tensor{Name: t.Name, Dims: t.Dims})
	}
	return layout
}
