package models

import "convoy/nn"

// GoogLeNet (Szegedy et al., "Going deeper with convolutions", 2015), table 1
// without normalisation and dropout, as Zhang et al., "Dive into Deep Learning",
// section 8.4, have it; the two auxiliary classifiers of the paper's section 5 are
// a choice. Its parameters begin by Xavier.
var googLeNet = Model{
	Name:  "googlenet",
	Doc:   "GoogLeNet (2014), nine inception blocks; 96×96 images",
	Input: nn.Shape{C: 1, H: 96, W: 96},
	Layers: func(classes int) nn.Chain {
		return googLeNetLayers(classes, nn.Chain{})
	},
	Auxiliary: func(classes int) nn.Chain {
		return googLeNetLayers(classes, googLeNetAuxiliary(classes))
	},
}

// googLeNetAuxiliary is one of the auxiliary classifiers.
func googLeNetAuxiliary(classes int) nn.Layer {
	return nn.Auxiliary{Weight: 0.3, Chain: nn.Chain{
		nn.AvgPool{Kernel: 5, Stride: 3},
		relu(nn.Conv{Out: 128, Kernel: 1}),
		nn.Flatten{},
		relu(nn.Linear{Out: 1024}),
		nn.Dropout{Rate: 0.7},
		nn.Linear{Out: classes},
	}}
}

// googLeNetLayers has something behind the blocks 4a and 4d: an auxiliary
// classifier or an empty chain.
func googLeNetLayers(classes int, auxiliary nn.Layer) nn.Chain {
	pool := nn.MaxPool{Kernel: 3, Stride: 2, Pad: 1}
	return nn.Chain{
		relu(nn.Conv{Out: 64, Kernel: 7, Stride: 2, Pad: 3}), pool,
		relu(nn.Conv{Out: 64, Kernel: 1}),
		relu(nn.Conv{Out: 192, Kernel: 3, Pad: 1}), pool,
		inception(64, 96, 128, 16, 32, 32),
		inception(128, 128, 192, 32, 96, 64), pool,
		inception(192, 96, 208, 16, 48, 64), auxiliary,
		inception(160, 112, 224, 24, 64, 64),
		inception(128, 128, 256, 24, 64, 64),
		inception(112, 144, 288, 32, 64, 64), auxiliary,
		inception(256, 160, 320, 32, 128, 128), pool,
		inception(256, 160, 320, 32, 128, 128),
		inception(384, 192, 384, 48, 128, 128),
		nn.GlobalAvgPool{},
		nn.Linear{Out: classes},
	}
}

// inception is the block of figure 2b with the columns of table 1: the channels
// of #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5 and pool proj.
func inception(c1, reduce3, c3, reduce5, c5, proj int) nn.Branches {
	return nn.Branches{
		relu(nn.Conv{Out: c1, Kernel: 1}),
		{relu(nn.Conv{Out: reduce3, Kernel: 1}), relu(nn.Conv{Out: c3, Kernel: 3, Pad: 1})},
		{relu(nn.Conv{Out: reduce5, Kernel: 1}), relu(nn.Conv{Out: c5, Kernel: 5, Pad: 2})},
		{nn.MaxPool{Kernel: 3, Stride: 1, Pad: 1}, relu(nn.Conv{Out: proj, Kernel: 1})},
	}
}
