package models

import "convoy/nn"

// nin is the network in network of Lin, Chen and Yan, 2014, with AlexNet's first
// kernels, as Zhang et al., "Dive into Deep Learning", section 8.3, have it. Its
// parameters begin by Xavier.
var nin = Model{
	Name:   "nin",
	Doc:    "Network in network (2014); 224×224 images",
	Input:  nn.Shape{C: 1, H: 224, W: 224},
	Layers: ninLayers,
}

func ninLayers(classes int) nn.Chain {
	pool := nn.MaxPool{Kernel: 3, Stride: 2}
	return nn.Chain{
		mlpconv(nn.Conv{Out: 96, Kernel: 11, Stride: 4}), pool,
		mlpconv(nn.Conv{Out: 256, Kernel: 5, Pad: 2}), pool,
		mlpconv(nn.Conv{Out: 384, Kernel: 3, Pad: 1}), pool,
		nn.Dropout{Rate: 0.5},
		mlpconv(nn.Conv{Out: classes, Kernel: 3, Pad: 1}),
		nn.GlobalAvgPool{},
	}
}

// mlpconv is a convolution with a small network at each pixel: two convolutions
// of 1×1 behind it.
func mlpconv(first nn.Conv) nn.Chain {
	each := nn.Conv{Out: first.Out, Kernel: 1}
	return nn.Chain{relu(first), relu(each), relu(each)}
}
