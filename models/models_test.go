package models

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"convoy/nn"
)

// TestTables pins what the papers' tables say.
func TestTables(t *testing.T) {
	const shapes = "6×28×28 6×28×28 6×14×14 16×10×10 16×10×10 16×5×5 400×1×1 120×1×1 120×1×1 84×1×1 84×1×1 10×1×1"
	const tensors = "0.weight[6 1 5 5] 0.bias[6] 3.weight[16 6 5 5] 3.bias[16] 7.weight[120 400] 7.bias[120] 9.weight[84 120] 9.bias[84] 11.weight[10 84] 11.bias[10]"
	for _, c := range []struct {
		name            string
		classes         int
		params, macs    int
		shapes, tensors string
	}{
		{"lenet", 10, 61706, 416520, shapes, tensors},
		{"lenet-relu", 10, 61706, 416520, shapes, tensors},
	} {
		m, err := Lookup(c.name)
		if err != nil {
			t.Fatal(err)
		}
		net, err := nn.Build(m.Layers(c.classes), m.Input, nn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if net.NumParams() != c.params || net.MACs() != c.macs || net.Classes() != c.classes {
			t.Errorf("%s: %d parameters, %d MACs, %d classes; want %d, %d, %d",
				c.name, net.NumParams(), net.MACs(), net.Classes(), c.params, c.macs, c.classes)
		}
		var got []string
		for _, l := range net.Layers() {
			got = append(got, l.Out.String())
		}
		if s := strings.Join(got, " "); s != c.shapes {
			t.Errorf("%s: shapes %s, want %s", c.name, s, c.shapes)
		}
		got = nil
		for _, x := range net.Tensors() {
			got = append(got, x.Name+fmt.Sprint(x.Dims))
		}
		if s := strings.Join(got, " "); s != c.tensors {
			t.Errorf("%s: tensors %s, want %s", c.name, s, c.tensors)
		}
	}
}

// TestReceptiveFields pins what the windows of AlexNet and GoogLeNet see.
func TestReceptiveFields(t *testing.T) {
	for name, want := range map[string]string{
		"alexnet":   "0 11/4, 1 11/4, 2 19/8, 3 51/8, 4 51/8, 5 67/16, 6 99/16, 8 131/16, 10 163/16, 12 195/32, 13 323/32, 20 323/32",
		"googlenet": "0 7/2, 2 11/4, 5 19/4, 7 27/8, 8.0.0 27/8, 8.1.2 43/8, 8.2.2 59/8, 8.3.0 43/8, 9.1.2 75/8, 10 107/16",
	} {
		m, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		net, err := nn.Build(m.Layers(10), m.Input, nn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]string{}
		for _, l := range net.Layers() {
			fields[l.Name] = fmt.Sprintf("%s %d/%d", l.Name, l.ReceptiveField, l.Stride)
		}
		for w := range strings.SplitSeq(want, ", ") {
			layer, _, _ := strings.Cut(w, " ")
			if fields[layer] != w {
				t.Errorf("%s: field and stride of %s, want %s", name, fields[layer], w)
			}
		}
	}
}

// TestTooSmall: an image that vanishes on the way is an error that names the
// layer and the smallest size that works; at that size the network is built.
func TestTooSmall(t *testing.T) {
	for name, want := range map[string]string{
		"alexnet": "images of 28×28 are too small, the smallest that work are 65×65: layer 5 (MaxPool 3×3, stride 2), input 256×2×2: pooling window 3×3 is larger",
		"vgg11":   "the smallest that work are 32×32: layer 20 (MaxPool 2×2), input 512×1×1: pooling window 2×2 is larger",
		"nin":     "the smallest that work are 67×67: layer 13 (MaxPool 3×3, stride 2), input 256×2×2: pooling window 3×3 is larger",
	} {
		m, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Build(10, nn.Shape{C: 1, H: 28, W: 28}, nn.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s on 28×28: %v, want %q in it", name, err, want)
		}
		_, after, _ := strings.Cut(err.Error(), "the smallest that work are ")
		side := 0
		if _, err := fmt.Sscanf(after, "%d", &side); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Build(10, nn.Shape{C: 1, H: side, W: side}, nn.Options{}); err != nil {
			t.Errorf("%s on %d×%d: %v", name, side, side, err)
		}
		if _, err := m.Build(10, nn.Shape{C: 1, H: side, W: side - 1}, nn.Options{}); err == nil {
			t.Errorf("%s is built for %d×%d", name, side, side-1)
		}
	}
}

func TestLookup(t *testing.T) {
	for _, name := range append(Names(), "vgg11/4", "vgg19/64") {
		if m, err := Lookup(name); err != nil || m.Name != name || m.Doc == "" {
			t.Errorf("Lookup(%q) = %+v, %v", name, m, err)
		}
	}
	for name, want := range map[string]string{
		"lenet_relu": `did you mean "lenet-relu"?; the models are lenet, lenet-relu, lenet5, lenet5-codes, alexnet`,
		"LeNet":      `did you mean "lenet"?`,
		"lenet-5":    `did you mean "lenet5"?`,
		"resnet50":   `no model is named "resnet50"; the models are lenet, lenet-relu`,
		"vgg12":      `did you mean "vgg11"?`,
		"vgg12/4":    `no model is named "vgg12/4": did you mean "vgg11"?`,
		"vgg11/3":    "model vgg11/3: the channels can be divided by 2, 4, 8, 16, 32 or 64",
		"vgg11/":     "model vgg11/: the channels can be divided by",
		"vgg11/04":   "model vgg11/04: the channels can be divided by",
		"lenet/2":    "model lenet has no narrower variants: leave out /2",
		"":           `no model is named ""; the models`,
	} {
		if _, err := Lookup(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Lookup(%q): %v, want %q in it", name, err, want)
		}
	}
}

// TestAlexNet2012Begins as its paper says: section 5.
func TestAlexNet2012Begins(t *testing.T) {
	net, err := nn.Build(alexNet2012.Layers(10), nn.Shape{C: 3, H: 67, W: 67}, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	params := make([]float32, net.NumParams())
	net.Init(1, params)
	var biases []string
	for _, x := range net.Tensors() {
		v := params[x.Offset : x.Offset+x.Len]
		if strings.HasSuffix(x.Name, "bias") {
			if slices.Min(v) != slices.Max(v) {
				t.Errorf("%s is from %v to %v", x.Name, slices.Min(v), slices.Max(v))
			}
			biases = append(biases, fmt.Sprintf("%s %v", x.Name, v[0]))
			continue
		}
		var square float64
		for _, w := range v {
			square += float64(w) * float64(w) / float64(x.Len)
		}
		if deviation := math.Sqrt(square); math.Abs(deviation-0.01) > 0.0002 {
			t.Errorf("%s has a deviation of %v, want 0.01", x.Name, deviation)
		}
	}
	const want = "0.bias 0, 4.bias 1, 8.bias 0, 10.bias 1, 12.bias 1, 16.bias 1, 19.bias 1, 22.bias 0"
	if got := strings.Join(biases, ", "); got != want {
		t.Errorf("biases begin at %s, want %s", got, want)
	}
}

// TestLeNet5 pins what the paper says beside the table of layers: 840 fixed
// numbers, 60 connections of C3, fields of the units, the loss, and classes that
// there are codes for.
func TestLeNet5(t *testing.T) {
	net, err := nn.Build(leNet5.Layers(10), leNet5.Input, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fixed, fields := 0, []string{}
	for _, l := range net.Layers() {
		fixed += l.Fixed
		fields = append(fields, fmt.Sprintf("%s %d/%d", l.Name, l.ReceptiveField, l.Stride))
	}
	if got, want := strings.Join(fields, ", "), "C1 5/1, S2 6/2, C3 14/2, S4 16/4, C5 32/4, F6 32/4, OUTPUT 32/4"; got != want {
		t.Errorf("fields %s, want %s", got, want)
	}
	connections := strings.Count(strings.Join(table1, ""), "X")
	if fixed != 840 || connections != 60 || net.Loss() != (nn.Discriminative{}) {
		t.Errorf("%d fixed numbers, %d connections, loss %v; want 840, 60, rbf", fixed, connections, net.Loss())
	}
	trained, err := nn.Build(leNet5Trained.Layers(10), leNet5.Input, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	params, codes := make([]float32, trained.NumParams()), digitCodes(10)
	trained.Init(3, params)
	if got := params[60000:]; trained.NumParams() != 60840 || !slices.Equal(got, slices.Concat(codes...)) {
		t.Errorf("%d parameters, the last of them %v, want 60,840 that end in the codes", trained.NumParams(), got)
	}
	_, err = nn.Build(leNet5.Layers(11), leNet5.Input, nn.Options{})
	if want := "layer OUTPUT (RBF 11), input 84×1×1: there are codes for 10 classes, not for 11"; err == nil || err.Error() != want {
		t.Errorf("11 classes: error %v, want %s", err, want)
	}
}
