// Package models holds the networks that Convoy trains, written like the tables
// of the papers that they come from, and finds them by name. A test pins each
// one's number of parameters.
package models

import (
	"fmt"
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
}

// all lists the models in the order in which they are shown.
var all = []Model{leNet, leNetReLU}

// Names lists the models' names.
func Names() []string {
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.Name
	}
	return names
}

// Lookup finds a model by its name. The error for an unknown one names the
// nearest and all others.
func Lookup(name string) (Model, error) {
	for _, m := range all {
		if m.Name == name {
			return m, nil
		}
	}
	hint := ""
	if near := similar.To(name, Names()); near != "" {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return Model{}, fmt.Errorf("no model is named %q%s; the models are %s", name, hint, strings.Join(Names(), ", "))
}
