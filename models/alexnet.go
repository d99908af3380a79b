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

// hidden is a fully connected layer with ReLU, half of whose values drop out.
func hidden(out int) nn.Chain {
	return nn.Chain{relu(nn.Linear{Out: out}), nn.Dropout{Rate: 0.5}}
}
