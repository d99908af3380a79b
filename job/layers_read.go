package job

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// setLayers takes a list of layers. It checks the ranges of their attributes,
// since only here is known where each of them stands.
func setLayers(f *File, n ast.Node) error {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		return fmt.Errorf("%s: want a list of layers such as [{type: flatten}, {type: linear, out: 10}]", describe("model.layers", n))
	}
	if len(list.Values) == 0 || len(list.Values) > maxLayers {
		return fmt.Errorf("model.layers has %d layers: want 1 to %d", len(list.Values), maxLayers)
	}
	layers := make([]Layer, len(list.Values))
	for i, value := range list.Values {
		if err := layers[i].read(value); err != nil {
			at, name := within{node: value, error: err}, fmt.Sprintf("layer %d", i)
			errors.As(err, &at)
			if layers[i].Type != "" {
				name += " (" + layers[i].Type + ")"
			}
			return within{at.node, fmt.Errorf("model.layers: %s: %w", name, at.error)}
		}
	}
	f.setModel(Listed, layers)
	return nil
}

// read takes a layer's type and attributes, and fills in what is left out.
func (l *Layer) read(n ast.Node) error {
	entries, err := attributesOf(n)
	if err != nil {
		return err
	}
	t, err := readType(n, entries)
	if err != nil {
		return err
	}
	l.Type = t.name
	given := map[string]bool{}
	for _, e := range entries {
		name := e.Key.(*ast.StringNode).Value
		if given[name] {
			return within{e.Key, fmt.Errorf("%s is given twice: remove one", clip(name))}
		}
		given[name] = true
		if name == "type" {
			continue
		}
		a, err := t.attribute(name)
		if err != nil {
			return within{e.Key, err}
		}
		if err := a.read(l, name, e.Value); err != nil {
			return within{e.Value, err}
		}
	}
	for _, a := range t.attributes {
		switch {
		case given[a.name]:
		case a.unset == nil:
			return fmt.Errorf("no %s is given: it needs %s", a.name, strings.Join(t.required(), ", "))
		default:
			a.unset(l)
		}
	}
	return l.checkAt(t, entries)
}

// checkAt checks the layer's attributes, where all of them are known, and points
// at the wrong one.
func (l *Layer) checkAt(t layerType, entries []*ast.MappingValueNode) error {
	for _, a := range t.attributes {
		err := a.check(l)
		if err == nil {
			continue
		}
		err = fmt.Errorf("%s %w", a.name, err)
		for _, e := range entries {
			if e.Key.(*ast.StringNode).Value == a.name {
				return within{e.Value, err}
			}
		}
		return err
	}
	return nil
}

// attributesOf returns what stands in a layer's braces: names with values.
func attributesOf(n ast.Node) ([]*ast.MappingValueNode, error) {
	entries, ok := entriesOf(n)
	if !ok {
		return nil, fmt.Errorf("%s: write a layer as {type: relu}", describe("it", n))
	}
	for _, e := range entries {
		name, ok := e.Key.(*ast.StringNode)
		if !ok {
			return nil, within{e.Key, fmt.Errorf("%s is no attribute of a layer", clip(strings.TrimSpace(e.Key.String())))}
		}
		if e.Value == nil || e.Value.Type() == ast.NullType {
			return nil, within{name, fmt.Errorf("%s has no value: give one", clip(name.Value))}
		}
	}
	return entries, nil
}

// readType finds the type among a layer's entries.
func readType(n ast.Node, entries []*ast.MappingValueNode) (layerType, error) {
	for _, e := range entries {
		if e.Key.(*ast.StringNode).Value != "type" {
			continue
		}
		name, ok := e.Value.(*ast.StringNode)
		if !ok {
			return layerType{}, within{e.Value, fmt.Errorf("%s: want one of %s", describe("type", e.Value), strings.Join(LayerTypes(), ", "))}
		}
		t, err := typeOf(name.Value)
		if err != nil {
			return layerType{}, within{name, err}
		}
		return t, nil
	}
	return layerType{}, within{n, fmt.Errorf("no type is given: want one of %s", strings.Join(LayerTypes(), ", "))}
}

// required names the attributes that cannot be left out.
func (t layerType) required() (names []string) {
	for _, a := range t.attributes {
		if a.unset == nil {
			names = append(names, a.name)
		}
	}
	return names
}
