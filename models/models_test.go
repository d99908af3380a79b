package models

import (
	"fmt"
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
		net, err := nn.Build(m.Layers(c.classes), m.Input)
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

func TestLookup(t *testing.T) {
	for _, name := range Names() {
		if m, err := Lookup(name); err != nil || m.Name != name || m.Doc == "" {
			t.Errorf("Lookup(%q) = %+v, %v", name, m, err)
		}
	}
	for name, want := range map[string]string{
		"lenet_relu": `did you mean "lenet-relu"?; the models are lenet, lenet-relu`,
		"LeNet":      `did you mean "lenet"?`,
		"lenet5":     `did you mean "lenet"?`,
		"resnet50":   `no model is named "resnet50"; the models are lenet, lenet-relu`,
		"":           `no model is named ""; the models`,
	} {
		if _, err := Lookup(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Lookup(%q): %v, want %q in it", name, err, want)
		}
	}
}
