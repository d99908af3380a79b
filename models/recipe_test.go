package models

import (
	"fmt"
	"strings"
	"testing"

	"convoy/digest"
	"convoy/job"
)

// TestListed builds the network that a recipe lists: one layer of every type.
func TestListed(t *testing.T) {
	r := job.Recipe{Model: job.Listed, Data: job.Data{Name: "digits", Classes: 10, Channels: 1, Height: 28, Width: 28}, Layers: []job.Layer{
		{Type: "conv", Out: 6, Kernel: 5, Stride: 1, Padding: 2, Groups: 1, Table: "XXXXXX"},
		{Type: "subsample", Max: true},
		{Type: "relu"},
		{Type: "conv", Out: 8, Kernel: 3, Stride: 1, Padding: 1, Groups: 2},
		{Type: "sigmoid"},
		{Type: "maxpool", Kernel: 3, Stride: 2, Padding: 1},
		{Type: "lrn", Size: 5, Alpha: 1e-4, Beta: 0.75, K: 2},
		{Type: "inception", Conv1: 4, Reduce3: 2, Conv3: 3, Reduce5: 1, Conv5: 2, Proj: 5},
		{Type: "tanh"},
		{Type: "scaled_tanh"},
		{Type: "avgpool", Kernel: 2, Stride: 2},
		{Type: "flatten"},
		{Type: "dropout", Rate: 0.5},
		{Type: "linear", Out: 12},
		{Type: "gap"},
		{Type: "linear", Out: 10},
	}}
	net, err := ForRecipe(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = "0 conv 6×28×28, 1 subsample 6×14×14, 2 relu 6×14×14, 3 conv 8×14×14, 4 sigmoid 8×14×14, 5 maxpool 8×7×7, 6 lrn 8×7×7, " +
		"7.0.0 conv 4×7×7, 7.0.1 relu 4×7×7, 7.1.0 conv 2×7×7, 7.1.1 relu 2×7×7, 7.1.2 conv 3×7×7, 7.1.3 relu 3×7×7, " +
		"7.2.0 conv 1×7×7, 7.2.1 relu 1×7×7, 7.2.2 conv 2×7×7, 7.2.3 relu 2×7×7, 7.3.0 maxpool 8×7×7, 7.3.1 conv 5×7×7, 7.3.2 relu 5×7×7, " +
		"8 tanh 14×7×7, 9 scaled_tanh 14×7×7, 10 avgpool 14×3×3, 11 flatten 126×1×1, 12 dropout 126×1×1, 13 linear 12×1×1, 14 gap 12×1×1, 15 linear 10×1×1"
	var got []string
	types := map[string]bool{"inception": true} // listed as what it is made of
	for _, l := range net.Layers() {
		got = append(got, fmt.Sprintf("%s %s %v", l.Name, l.Type, l.Out))
		types[l.Type] = true
	}
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("layers\n%s\nwant\n%s", s, want)
	}
	for _, name := range job.LayerTypes() {
		if !types[name] {
			t.Errorf("no layer of type %s is tested", name)
		}
	}
}

// TestListedShapesThatDoNotMeet are errors that name the layer and the shapes.
func TestListedShapesThatDoNotMeet(t *testing.T) {
	for want, layers := range map[string][]job.Layer{
		"layer 1 (Linear 10), input 2×28×28: it takes a flat vector":              {{Type: "conv", Out: 2, Kernel: 3, Stride: 1, Padding: 1}, {Type: "linear", Out: 10}},
		"the network ends in 1×28×28":                                             {{Type: "relu"}},
		"the network ends in 12 values, the data has 10 classes":                  {{Type: "flatten"}, {Type: "linear", Out: 12}},
		"the network has no parameters":                                           {{Type: "flatten"}},
		"too small, the smallest that work are 40×40: layer 0 (MaxPool 40×40)":    {{Type: "maxpool", Kernel: 40, Stride: 40}, {Type: "flatten"}, {Type: "linear", Out: 10}},
		"larger than the padded input 28×28; input.resize enlarges the data's":    {{Type: "maxpool", Kernel: 4096, Stride: 4096}, {Type: "flatten"}, {Type: "linear", Out: 10}},
		"layer 0 (MaxPool 4096×4096), input 1×28×28: pooling window 4096×4096 is": {{Type: "maxpool", Kernel: 4096, Stride: 4096}, {Type: "maxpool", Kernel: 4096, Stride: 4096}, {Type: "linear", Out: 10}},
		"its table has 2 rows for 1 channels of the input":                        {{Type: "conv", Out: 3, Kernel: 3, Stride: 1, Groups: 1, Table: "XX./.XX"}},
		"from 1 to 6 channels in 2 groups":                                        {{Type: "conv", Out: 6, Kernel: 1, Stride: 1, Groups: 2}},
		"parameters, at most 2147483647":                                          {{Type: "flatten"}, {Type: "linear", Out: 40000}, {Type: "linear", Out: 40000}, {Type: "linear", Out: 40000}, {Type: "linear", Out: 10}},
	} {
		r := job.Recipe{Model: job.Listed, Data: job.Data{Name: "digits", Classes: 10, Channels: 1, Height: 28, Width: 28}, Layers: layers}
		if _, err := ForRecipe(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", layers, err, want)
		}
	}
}

func TestInitial(t *testing.T) {
	r := job.Recipe{Model: "lenet-relu", Data: job.Data{Name: "digits", Classes: 10, Channels: 1, Height: 28, Width: 28}, Seed: 1, Optimizer: job.Optimizer{LR: 0.1, Momentum: 0.9}}
	sums := map[digest.Sum]bool{}
	for _, seed := range []uint64{1, 1, 2} {
		r.Seed = seed
		s, err := Initial(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Slots) != 1 || len(s.Slots[0]) != len(s.Params) || len(s.Layout) == 0 {
			t.Errorf("%d slots beside %d parameters of %d tensors, want the velocity", len(s.Slots), len(s.Params), len(s.Layout))
		}
		sums[s.Digest()] = true
	}
	if len(sums) != 2 {
		t.Errorf("%d states of two seeds, want 2", len(sums))
	}
	r.Model = "lenot"
	_, err := Initial(r)
	if err == nil || !strings.Contains(err.Error(), "lenot") {
		t.Errorf("error %v, want one that names lenot", err)
	}
}

func TestOfRefusesAuxiliaryClassifiersWhereThereAreNone(t *testing.T) {
	_, err := Of(job.Recipe{Model: "lenet", Auxiliary: true})
	if want := "model lenet has no auxiliary classifiers: leave out model.auxiliary"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// TestLoss: a recipe's loss is the network's, and one that does not go with the
// model is refused with both names.
func TestLoss(t *testing.T) {
	r := job.Recipe{Model: "lenet", Data: job.Data{Name: "digits", Classes: 10, Channels: 1, Height: 28, Width: 28}}
	for loss, want := range map[string]string{
		job.LossAuto: "cross-entropy", job.LossCrossEntropy: "cross-entropy", job.LossSquaredDistance: "squared-distance",
	} {
		r.Loss = loss
		net, err := ForRecipe(r)
		if err != nil || net.Loss().String() != want {
			t.Errorf("loss %s: %v, error %v, want %s", loss, net.Loss(), err, want)
		}
	}
	r.Loss = job.LossRBF
	_, err := ForRecipe(r)
	if err == nil || !strings.Contains(err.Error(), "model lenet on data set digits: loss rbf: ") {
		t.Errorf("loss rbf: error %v, want one that names model and loss", err)
	}
}
