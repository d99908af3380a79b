package models

import "convoy/nn"

// AlexNet (Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep
// convolutional neural networks", 2012) in one tower and without normalisation,
// as Zhang et al., "Dive into Deep Learning", section 8.1, have it. Its parameters
// begin by Xavier.
var alexNet = Model{
	Name:   "alexnet",
	Doc:    "AlexNet (2012) in one tower; 224×224 images",
	Input:  nn.Shape{C: 1, H: 224, W: 224},
	Layers: alexNetLayers,
}

func alexNetLayers(classes int) nn.Chain {
	pool := nn.MaxPool{Kernel: 3, Stride: 2}
	return nn.Chain{
		relu(nn.Conv{Out: 96, Kernel: 11, Stride: 4, Pad: 1}), pool,
		relu(nn.Conv{Out: 256, Kernel: 5, Pad: 2}), pool,
		relu(nn.Conv{Out: 384, Kernel: 3, Pad: 1}),
		relu(nn.Conv{Out: 384, Kernel: 3, Pad: 1}),
		relu(nn.Conv{Out: 256, Kernel: 3, Pad: 1}), pool,
		nn.Flatten{},
		hidden(4096), hidden(4096),
		nn.Linear{Out: classes},
	}
}

// AlexNet as Krizhevsky, Sutskever and Hinton, 2012, published it: the two GPUs'
// halves as groups (figure 2), local response normalisation (section 3.3) behind
// ReLU, overlapping pooling (section 3.4) and dropout (section 4.2). Weights begin
// normally distributed with a deviation of 0.01, biases at 1 in the second, fourth
// and fifth convolution and the hidden layers, and at 0 in the others (section 5).
var alexNet2012 = Model{
	Name:   "alexnet-2012",
	Doc:    "AlexNet as published (2012): two groups, normalisation; 227×227 colour images",
	Input:  nn.Shape{C: 3, H: 227, W: 227},
	Layers: alexNet2012Layers,
}

func alexNet2012Layers(classes int) nn.Chain {
	zero, one := nn.Gaussian(0.01, 0), nn.Gaussian(0.01, 1)
	norm := nn.LRN{Size: 5, Alpha: 5e-4, Beta: 0.75, K: 2} // the paper does not divide its alpha, 1e-4, by the size
	pool := nn.MaxPool{Kernel: 3, Stride: 2}
	return nn.Chain{
		relu(nn.Conv{Out: 96, Kernel: 11, Stride: 4, Init: zero}), norm, pool,
		relu(nn.Conv{Out: 256, Kernel: 5, Pad: 2, Groups: 2, Init: one}), norm, pool,
		relu(nn.Conv{Out: 384, Kernel: 3, Pad: 1, Init: zero}),
		relu(nn.Conv{Out: 384, Kernel: 3, Pad: 1, Groups: 2, Init: one}),
		relu(nn.Conv{Out: 256, Kernel: 3, Pad: 1, Groups: 2, Init: one}), pool,
		nn.Flatten{},
		nn.Chain{hidden(4096), hidden(4096)}.Initialised(one),
		nn.Linear{Out: classes, Init: zero},
	}
}

// hidden is a fully connected layer with ReLU, half of whose values drop out.
func hidden(out int) nn.Chain {
	return nn.Chain{relu(nn.Linear{Out: out}), nn.Dropout{Rate: 0.5}}
}
