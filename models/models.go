// Package models holds the networks that Convoy trains, written like the tables
// of the papers that they come from, and finds them by name. A test pins each
// one's number of parameters.
package models

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"convoy/nn"
	"convoy/similar"
)

// Model is a named network.
type Model struct {
	Name   string
	Doc    string                     // one line
	Layers func(classes int) nn.Chain // the network for that many classes
	Input  nn.Shape                   // what it was made for; others may do

	// Low and High are what the pixel values 0 and 255 become for a model that
	// was published with a range of its own; a smaller image then gets a border of
	// pixel value 0 up to Input. Both are 0 where it is 0 to 1, without a border.
	Low, High float32

	// Divided is the network with the convolutions' channels divided by one of
	// Divisors; both are nil where there are no such variants.
	Divided  func(divisor, classes int) nn.Chain
	Divisors []int

	// Auxiliary is the network with the auxiliary classifiers that are trained
	// beside it, nil where it has none.
	Auxiliary func(classes int) nn.Chain
}

// all lists the models in the order in which they are shown.
var all = []Model{leNet, leNetReLU, leNet5, leNet5Trained, alexNet, alexNet2012, vgg11, vgg13, vgg16, vgg19, nin, googLeNet}

// All lists the models in the order in which they are shown.
func All() []Model { return slices.Clone(all) }

// Names lists the models' names.
func Names() []string {
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.Name
	}
	return names
}

// Lookup finds a model by its name, with a divisor after a slash for a narrower
// variant: vgg11/4. The error for an unknown one names the nearest and all others.
func Lookup(name string) (Model, error) {
	base, divisor, narrow := strings.Cut(name, "/")
	for _, m := range all {
		if m.Name == base && narrow {
			return m.divide(divisor)
		}
		if m.Name == base {
			return m, nil
		}
	}
	hint := ""
	if near := similar.To(base, Names()); near != "" {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return Model{}, fmt.Errorf("no model is named %q%s; the models are %s", name, hint, strings.Join(Names(), ", "))
}

// divide returns the variant of m with so much narrower convolutions.
func (m Model) divide(divisor string) (Model, error) {
	if m.Divided == nil {
		return Model{}, fmt.Errorf("model %s has no narrower variants: leave out /%s", m.Name, divisor)
	}
	d, err := strconv.Atoi(divisor)
	if err != nil || !slices.Contains(m.Divisors, d) || strconv.Itoa(d) != divisor {
		return Model{}, fmt.Errorf("model %s/%s: the channels can be divided by %s", m.Name, divisor, listed(m.Divisors))
	}
	divided := m.Divided
	m.Name += "/" + divisor
	m.Layers = func(classes int) nn.Chain { return divided(d, classes) }
	m.Divided, m.Divisors = nil, nil
	return m, nil
}

// listed writes numbers as words: "2, 4 or 8".
func listed(numbers []int) string {
	var s strings.Builder
	for i, n := range numbers {
		switch {
		case i > 0 && i == len(numbers)-1:
			s.WriteString(" or ")
		case i > 0:
			s.WriteString(", ")
		}
		s.WriteString(strconv.Itoa(n))
	}
	return s.String()
}

// relu is a layer with ReLU behind it.
func relu(l nn.Layer) nn.Chain { return nn.Chain{l, nn.ReLU{}} }
