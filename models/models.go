// Package models holds the networks that Convoy trains, written like the tables
// of the papers that they come from, and finds them by name. A test pins each
// one's number of parameters.
package models

import (
	"fmt"
	"strings"

	"convoy/nn"
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
	if near := nearest(name); near != "" {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return Model{}, fmt.Errorf("no model is named %q%s; the models are %s", name, hint, strings.Join(Names(), ", "))
}

// nearest returns the model's name that takes the fewest edits to reach from
// name, or "" if all are far away.
func nearest(name string) string {
	best, fewest := "", len(name)/3+2
	for _, n := range Names() {
		if d := edits(strings.ToLower(name), n); d < fewest {
			best, fewest = n, d
		}
	}
	return best
}

// edits is the Levenshtein distance: how many insertions, deletions and
// replacements of bytes lead from a to b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
