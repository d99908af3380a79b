package job

import (
	"errors"
	"fmt"
	"strings"

	"convoy/similar"
)

// Listed is the model's name of a network that the job file lists layer by
// layer.
const Listed = "network"

// Layer is one layer of such a network. Which attributes a type has, and which
// may be left out, stands in the table layerTypes; the others are 0. A recipe
// holds defaults written out, so that one network has one recipe.
type Layer struct {
	Type    string `json:"type"`
	Out     int    `json:"out,omitempty"`     // channels of a convolution, values of a fully connected layer
	Kernel  int    `json:"kernel,omitempty"`  // height and width of the window
	Stride  int    `json:"stride,omitempty"`  // in both directions
	Padding int    `json:"padding,omitempty"` // on every side
	Groups  int    `json:"groups,omitempty"`  // of channels that a convolution keeps apart
	Table   string `json:"table,omitempty"`   // which channels each output of a convolution sees: X../.XX
	Max     bool   `json:"max,omitempty"`     // a subsampling takes maxima instead of sums

	Size  int     `json:"size,omitempty"` // channels that LRN takes together
	Alpha float32 `json:"alpha,omitempty"`
	Beta  float32 `json:"beta,omitempty"`
	K     float32 `json:"k,omitempty"`

	Rate float32 `json:"rate,omitempty"` // part of the values that drop out

	// The columns of GoogLeNet's table 1: channels of an inception block.
	Conv1   int `json:"1x1,omitempty"`
	Reduce3 int `json:"3x3_reduce,omitempty"`
	Conv3   int `json:"3x3,omitempty"`
	Reduce5 int `json:"5x5_reduce,omitempty"`
	Conv5   int `json:"5x5,omitempty"`
	Proj    int `json:"pool_proj,omitempty"`
}

// ModelKey is the key that says which network f trains, for Errorf.
func (f File) ModelKey() string {
	if f.Model == Listed {
		return "model.layers"
	}
	return "model.name"
}

// Bounds of a list of layers. It comes over the wire: within them no size makes
// an int overflow, and nn checks the shapes that follow from them.
const (
	maxLayers   = 1000
	maxChannels = 1 << 16
	maxWindow   = 1 << 12 // of kernels, strides and paddings
)

// A layerType is a type of layer with its attributes, in the order in which
// they are written.
type layerType struct {
	name       string
	attributes []attribute
}

var layerTypes = []layerType{
	{"conv", []attribute{outChannels, kernel, stride.or(1), padding, groups, table}},
	{"linear", []attribute{outChannels}},
	{"maxpool", pooling},
	{"avgpool", pooling},
	{"gap", nil},
	{"lrn", []attribute{
		channels("size", func(l *Layer) *int { return &l.Size }),
		realAttribute("alpha", func(l *Layer) *float32 { return &l.Alpha }, func(v float32) bool { return v >= 0 }, "0 or more"),
		realAttribute("beta", func(l *Layer) *float32 { return &l.Beta }, func(v float32) bool { return v >= 0 && v <= 16 }, "from 0 to 16"),
		realAttribute("k", func(l *Layer) *float32 { return &l.K }, func(v float32) bool { return v > 0 }, "above 0"),
	}},
	{"inception", []attribute{
		channels("1x1", func(l *Layer) *int { return &l.Conv1 }),
		channels("3x3_reduce", func(l *Layer) *int { return &l.Reduce3 }),
		channels("3x3", func(l *Layer) *int { return &l.Conv3 }),
		channels("5x5_reduce", func(l *Layer) *int { return &l.Reduce5 }),
		channels("5x5", func(l *Layer) *int { return &l.Conv5 }),
		channels("pool_proj", func(l *Layer) *int { return &l.Proj }),
	}},
	{"dropout", []attribute{
		realAttribute("rate", func(l *Layer) *float32 { return &l.Rate }, func(v float32) bool { return v >= 0 && v < 1 }, "from 0 to below 1"),
	}},
	{"flatten", nil},
	{"relu", nil},
	{"sigmoid", nil},
	{"tanh", nil},
	{"scaled_tanh", nil},
	{"subsample", []attribute{maxima}},
}

// LayerTypes lists the types of layers that a job file can list.
func LayerTypes() []string {
	names := make([]string, len(layerTypes))
	for i, t := range layerTypes {
		names[i] = t.name
	}
	return names
}

// typeOf finds a type of layer, or says which there are.
func typeOf(name string) (layerType, error) {
	for _, t := range layerTypes {
		if t.name == name {
			return t, nil
		}
	}
	if near := similar.To(name, LayerTypes()); near != "" {
		return layerType{}, fmt.Errorf("unknown type %q, did you mean %q?", clip(name), near)
	}
	return layerType{}, fmt.Errorf("unknown type %q: the types are %s", clip(name), strings.Join(LayerTypes(), ", "))
}

// attribute finds an attribute of a type, or says which there are.
func (t layerType) attribute(name string) (attribute, error) {
	names := []string{}
	for _, a := range t.attributes {
		if a.name == name {
			return a, nil
		}
		names = append(names, a.name)
	}
	if len(names) == 0 {
		return attribute{}, fmt.Errorf("unknown attribute %q: this type has none", clip(name))
	}
	if near := similar.To(name, names); near != "" {
		return attribute{}, fmt.Errorf("unknown attribute %q, did you mean %q?", clip(name), near)
	}
	return attribute{}, fmt.Errorf("unknown attribute %q: those of this type are %s", clip(name), strings.Join(names, ", "))
}

// check reports the first thing that is wrong with a layer by itself.
func (l Layer) check() error {
	t, err := typeOf(l.Type)
	if err != nil {
		return err
	}
	rest := l
	for _, a := range t.attributes {
		if err := a.check(&l); err != nil {
			return fmt.Errorf("%s %w", a.name, err)
		}
		a.clear(&rest)
	}
	if rest != (Layer{Type: l.Type}) {
		return errors.New("it has attributes of other types")
	}
	return nil
}

// checkLayers reports the first thing that makes a list of layers no network's.
// Whether the shapes meet is nn's to say.
func checkLayers(layers []Layer) error {
	if len(layers) > maxLayers {
		return fmt.Errorf("model.layers has %d layers: want 1 to %d", len(layers), maxLayers)
	}
	for i, l := range layers {
		if err := l.check(); err != nil {
			return fmt.Errorf("model.layers: layer %d (%s): %w", i, clip(l.Type), err)
		}
	}
	return nil
}
