package models

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"convoy/nn"
)

// A tableHead is the line of testdata/layers.txt that a network's table begins
// with; then comes a line for each layer: its name, type, output, parameters and
// multiplications.
type tableHead struct {
	model        string
	in           nn.Shape
	classes      int
	auxiliary    bool
	params, macs int
}

const headFormat = "model %s input %dx%dx%d classes %d auxiliary %t params %d macs %d"

func (h tableHead) String() string {
	return fmt.Sprintf(headFormat, h.model, h.in.C, h.in.H, h.in.W, h.classes, h.auxiliary, h.params, h.macs)
}

// table is what the program says of the network that h names.
func (h tableHead) table(t *testing.T) []string {
	t.Helper()
	m, err := Lookup(h.model)
	if err != nil {
		t.Fatal(err)
	}
	layers := m.Layers
	if h.auxiliary {
		layers = m.Auxiliary
	}
	net, err := nn.Build(layers(h.classes), h.in, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h.params, h.macs = net.NumParams(), net.MACs()
	lines := []string{h.String()}
	for _, l := range net.Layers() {
		lines = append(lines, fmt.Sprintf("%s %s %v %d %d", l.Name, l.Type, l.Out, l.Params, l.MACs))
	}
	return lines
}

// TestLayers holds every model against its table: the figures of the papers and
// of PyTorch's networks, layer by layer.
func TestLayers(t *testing.T) {
	tables, err := os.ReadFile("testdata/layers.txt")
	if err != nil {
		t.Fatal(err)
	}
	missing := Names()
	var head tableHead
	var want []string
	check := func() {
		if want == nil {
			return
		}
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == head.model })
		got := head.table(t)
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Errorf("%s: line %d of the table differs; the network gives\n%s", head.model, i+1, strings.Join(got, "\n"))
				return
			}
		}
	}
	for line := range strings.Lines(string(tables)) {
		line = strings.TrimSuffix(line, "\n")
		h := tableHead{}
		if n, _ := fmt.Sscanf(line, headFormat, &h.model, &h.in.C, &h.in.H, &h.in.W, &h.classes, &h.auxiliary, &h.params, &h.macs); n == 8 {
			check()
			head, want = h, nil
		}
		want = append(want, line)
	}
	check()
	if len(missing) > 0 {
		t.Errorf("no table of %v: write its first line and paste what this test prints then", missing)
	}
}
