package coordinator

import (
	"convoy/job"
	"convoy/optim"
)

// Initial computes state 0 of a recipe: the network's initial parameters and
// empty optimizer slots. Every replica and worker computes the same bits.
func Initial(r job.Recipe) (*optim.State, error) {
	net, err := build(r)
	if err != nil {
		return nil, err
	}
	params := make([]float32, net.NumParams())
	net.Init(r.Seed, params)
	layout := make([]optim.Tensor, 0, len(net.Tensors()))
	for _, t := range net.Tensors() {
		layout = append(layout, optim.Tensor{Name: t.Name, Dims: t.Dims})
	}
	return optim.NewState(layout, params, optim.FromJob(r.Optimizer)), nil
}
