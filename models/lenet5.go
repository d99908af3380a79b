package models

import "convoy/nn"

// LeNet-5 as LeCun, Bottou, Bengio and Haffner published it ("Gradient-based
// learning applied to document recognition", Proc. IEEE 86(11), 1998, section
// II.B), layer by layer under the paper's names: the squashing function is behind
// every layer but the output, weights begin uniform in ±2.4 by the number of a
// unit's inputs (appendix A), and the loss is the one of section II.C unless the
// job names another. C3's kernels are not those of all maps of S2.
func leNet5Layers(classes int) nn.Chain { return leNet5Of(classes, false) }

// leNet5Of is the network, with the codes of its output trained or fixed.
func leNet5Of(classes int, train bool) nn.Chain {
	return nn.Chain{
		squashed("C1", nn.Conv{Out: 6, Kernel: 5}),
		squashed("S2", nn.Subsample{}),
		squashed("C3", nn.Conv{Out: 16, Kernel: 5, Table: table1}),
		squashed("S4", nn.Subsample{}),
		squashed("C5", nn.Conv{Out: 120, Kernel: 5}),
		squashed("F6", nn.Linear{Out: 84}),
		nn.Named{Name: "OUTPUT", Layer: nn.RBF{Out: classes, Codes: digitCodes(classes), Trainable: train}},
	}.Initialised(nn.LeCun)
}

// squashed is a layer with the squashing function behind it.
func squashed(name string, l nn.Layer) nn.Layer {
	return nn.Named{Name: name, Layer: nn.Chain{l, nn.ScaledTanh{}}}
}

// table1 is the paper's table I: an X where the map of C3 (column) sees that of S2
// (row).
var table1 = nn.Table{
	"X...XXX..XXXX.XX",
	"XX...XXX..XXXX.X",
	"XXX...XXX..X.XXX",
	".XXX..XXXX..X.XX",
	"..XXX..XXXX.XX.X",
	"...XXX..XXXX.XXX",
}

var leNet5 = Model{
	Name:   "lenet5",
	Doc:    "LeNet-5 as published in 1998: subsampling that is trained, a sparse C3, RBF outputs; 32×32 grey digits",
	Layers: leNet5Layers,
	Input:  nn.Shape{C: 1, H: 32, W: 32},
	Low:    -0.1, High: 1.175, // so that inputs have mean 0 and variance 1 or so
}

var leNet5Trained = Model{
	Name:   "lenet5-codes",
	Doc:    "lenet5 with the codes of its output trained too: 840 parameters more",
	Layers: func(classes int) nn.Chain { return leNet5Of(classes, true) },
	Input:  leNet5.Input,
	Low:    leNet5.Low, High: leNet5.High,
}
