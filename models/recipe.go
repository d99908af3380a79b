package models

import (
	"fmt"

	"convoy/job"
	"convoy/nn"
	"convoy/optim"
)

// Of finds the model that a recipe names or lists, with its auxiliary classifiers
// where the recipe asks for them.
func Of(r job.Recipe) (Model, error) {
	m, err := fromList(r.Layers), error(nil)
	if len(r.Layers) == 0 {
		m, err = Lookup(r.Model)
	}
	if err != nil || !r.Auxiliary {
		return m, err
	}
	if m.Auxiliary == nil {
		return Model{}, fmt.Errorf("model %s has no auxiliary classifiers: leave out model.auxiliary", m.Name)
	}
	m.Layers = m.Auxiliary
	return m, nil
}

// ForRecipe builds the network that a recipe names for the recipe's data.
func ForRecipe(r job.Recipe) (*nn.Net, error) {
	model, err := Of(r)
	if err != nil {
		return nil, err
	}
	d := r.Data
	in, err := ShapeOf(r)
	if err != nil {
		return nil, err
	}
	net, err := model.Build(d.Classes, in, OptionsOf(r))
	if tooSmall(err) {
		err = fmt.Errorf("%w; input.resize enlarges the data's", err)
	}
	if err != nil {
		return nil, fmt.Errorf("model %s on data set %s: %w", r.Model, d.Name, err)
	}
	if net.Classes() != d.Classes {
		return nil, fmt.Errorf("model %s on data set %s: the network ends in %d values, the data has %d classes: end it with a layer such as {type: linear, out: %d}",
			r.Model, d.Name, net.Classes(), d.Classes, d.Classes)
	}
	return net, nil
}

// OptionsOf says how a network is computed under a recipe.
func OptionsOf(r job.Recipe) nn.Options {
	return nn.Options{Direct: r.Algorithm == job.AlgorithmDirect, Loss: losses[r.Loss]}
}

// losses are those that a recipe can name; none is the network's own.
var losses = map[string]nn.Loss{
	job.LossCrossEntropy:    nn.CrossEntropy{},
	job.LossSquaredDistance: nn.SquaredDistance{},
	job.LossRBF:             nn.Discriminative{},
}

// Initial is state 0 of a recipe: the network's initial parameters and empty
// optimizer slots, the same bits wherever it is computed.
func Initial(r job.Recipe) (*optim.State, error) {
	net, err := ForRecipe(r)
	if err != nil {
		return nil, err
	}
	s := Blank(net, optim.FromJob(r.Optimizer))
	net.Init(r.Seed, s.Params)
	return s, nil
}

// Blank is a state of a network's shape, all zeros.
func Blank(net *nn.Net, o optim.SGD) *optim.State {
	layout := make([]optim.Tensor, 0, len(net.Tensors()))
	for _, t := range net.Tensors() {
		layout = append(layout, optim.Tensor{Name: t.Name, Dims: t.Dims})
	}
	return optim.NewState(layout, make([]float32, net.NumParams()), o)
}
