package models

import (
	"fmt"
	"strings"

	"convoy/job"
	"convoy/nn"
)

// fromList is the network of a job file's list of layers. It has as many classes
// as its last layer has values.
func fromList(layers []job.Layer) Model {
	return Model{
		Name: job.Listed,
		Doc:  "the layers that the job file lists",
		Layers: func(int) nn.Chain {
			c := make(nn.Chain, len(layers))
			for i, l := range layers {
				c[i] = layerOf(l)
			}
			return c
		},
	}
}

// layerOf is the layer that a checked line of the list describes. Each line is
// one layer of the chain, so that its place in the list is its name.
func layerOf(l job.Layer) nn.Layer {
	switch l.Type {
	case "conv":
		c := nn.Conv{Out: l.Out, Kernel: l.Kernel, Stride: l.Stride, Pad: l.Padding, Groups: l.Groups}
		if l.Table != "" {
			c.Table = strings.Split(l.Table, "/")
		}
		return c
	case "linear":
		return nn.Linear{Out: l.Out}
	case "maxpool":
		return nn.MaxPool{Kernel: l.Kernel, Stride: l.Stride, Pad: l.Padding}
	case "avgpool":
		return nn.AvgPool{Kernel: l.Kernel, Stride: l.Stride, Pad: l.Padding}
	case "gap":
		return nn.GlobalAvgPool{}
	case "lrn":
		return nn.LRN{Size: l.Size, Alpha: l.Alpha, Beta: l.Beta, K: l.K}
	case "inception":
		return inception(l.Conv1, l.Reduce3, l.Conv3, l.Reduce5, l.Conv5, l.Proj)
	case "dropout":
		return nn.Dropout{Rate: l.Rate}
	case "flatten":
		return nn.Flatten{}
	case "relu":
		return nn.ReLU{}
	case "sigmoid":
		return nn.Sigmoid{}
	case "tanh":
		return nn.Tanh{}
	case "scaled_tanh":
		return nn.ScaledTanh{}
	case "subsample":
		return nn.Subsample{Max: l.Max}
	}
	panic(fmt.Sprintf("models: there is no layer of type %q: job.Recipe.Check lets only job.LayerTypes pass", l.Type))
}
