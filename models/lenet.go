package models

import "convoy/nn"

// lenet is LeNet-5 (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning
// applied to document recognition", 1998) in the simplified form of today's
// textbooks: figure 2 with a full C3, a plain output layer and, for inputs of
// 28×28, a padding of 2. Its parameters begin by Xavier.
func lenet(activation, pool nn.Layer) func(classes int) nn.Chain {
	return func(classes int) nn.Chain {
		return nn.Chain{
			nn.Conv{Out: 6, Kernel: 5, Pad: 2},
			activation, pool,
			nn.Conv{Out: 16, Kernel: 5},
			activation, pool,
			nn.Flatten{},
			nn.Linear{Out: 120},
			activation,
			nn.Linear{Out: 84},
			activation,
			nn.Linear{Out: classes},
		}
	}
}

var leNet = Model{
	Name:   "lenet",
	Doc:    "LeNet-5 (1998) with sigmoids and average pooling; 28×28 grey images",
	Layers: lenet(nn.Sigmoid{}, nn.AvgPool{Kernel: 2}),
	Input:  nn.Shape{C: 1, H: 28, W: 28},
}

var leNetReLU = Model{
	Name:   "lenet-relu",
	Doc:    "LeNet-5 with today's ReLU and max pooling; learns many times faster",
	Layers: lenet(nn.ReLU{}, nn.MaxPool{Kernel: 2}),
	Input:  nn.Shape{C: 1, H: 28, W: 28},
}
