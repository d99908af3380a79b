package bench

import (
	"fmt"
	"strings"

	"convoy/kernels"
	"convoy/models"
)

// A Layer is a convolution or a fully connected layer as some model has it, or the
// run of layers at its beginning that the kernels compute in the lanes.
type Layer struct {
	Model string `json:"model"`
	Name  string `json:"layer"` // its place, as in the names of its tensors
	Batch int    `json:"batch"`

	Conv   *kernels.Conv   `json:"convolution,omitempty"`
	Linear *kernels.Linear `json:"fully_connected,omitempty"`

	Stages []kernels.LaneStage `json:"stages,omitempty"`
}

// Shape describes the layer as a table has room for: 96×26×26 → 256, 5×5.
func (l Layer) Shape() string {
	switch {
	case l.Linear != nil:
		return fmt.Sprintf("%d → %d", l.Linear.I, l.Linear.O)
	case l.Stages != nil:
		s := l.Stages[0].Conv
		o, h, w := l.Stages[len(l.Stages)-1].Out()
		return fmt.Sprintf("%d×%d×%d → %d×%d×%d", s.C, s.H, s.W, o, h, w)
	}
	s := l.Conv
	text := fmt.Sprintf("%d×%d×%d → %d, %d×%d", s.C, s.H, s.W, s.O, s.KH, s.KW)
	if s.StrideH > 1 {
		text += fmt.Sprintf("/%d", s.StrideH)
	}
	if s.Groups > 1 {
		text += fmt.Sprintf(", %d groups", s.Groups)
	}
	return text
}

// flops is what a direction computes for the whole batch.
func (l Layer) flops(direction int) int {
	switch {
	case l.Linear != nil:
		return l.Batch * l.Linear.FLOPs()
	case l.Conv != nil:
		return l.Batch * l.Conv.FLOPs()
	}
	forward := 0
	for _, s := range l.Stages {
		forward += s.Conv.FLOPs()
	}
	if direction == backwardWeights { // the data's in it, but for the images'
		return l.Batch * (2*forward - l.Stages[0].Conv.FLOPs())
	}
	return l.Batch * forward
}

// Layers lists the layers of a model, or of all models for "", each geometry
// once. A batch of 0 is each model's DefaultBatch.
func Layers(model string, batch int) ([]Layer, error) {
	var list []Layer
	seen := map[any]bool{}
	for _, name := range names(model) {
		net, err := build(name, false)
		if err != nil {
			return nil, err
		}
		for _, info := range net.Layers() {
			l := Layer{Model: name, Name: info.Name, Batch: batch, Conv: info.Conv, Linear: info.Linear, Stages: info.Stages}
			if batch == 0 {
				l.Batch = DefaultBatch(name)
			}
			var geometry any
			switch {
			case l.Conv != nil:
				geometry = *l.Conv
			case l.Linear != nil:
				geometry = *l.Linear
			case l.Stages != nil:
				geometry = fmt.Sprint(l.Stages)
			default:
				continue
			}
			if !seen[geometry] {
				seen[geometry] = true
				list = append(list, l)
			}
		}
	}
	return list, nil
}

// names are the models that a name stands for: all for "".
func names(model string) []string {
	if model == "" {
		return models.Names()
	}
	return []string{model}
}

// DefaultBatch is the number of examples that docs/benchmarks.md measures a model
// with.
func DefaultBatch(model string) int {
	switch {
	case strings.HasPrefix(model, "lenet"):
		return 256
	case strings.HasPrefix(model, "vgg") && !strings.Contains(model, "/"):
		return 8
	}
	return 32
}
