package bench

import (
	"fmt"
	"strings"

	"convoy/kernels"
	"convoy/models"
)

// A Layer is a convolution or a fully connected layer as some model has it.
type Layer struct {
	Model string `json:"model"`
	Name  string `json:"layer"` // its place, as in the names of its tensors
	Batch int    `json:"batch"`

	Conv   *kernels.Conv   `json:"convolution,omitempty"`
	Linear *kernels.Linear `json:"fully_connected,omitempty"`
}

// Shape describes the layer as a table has room for: 96×26×26 → 256, 5×5.
func (l Layer) Shape() string {
	if l.Linear != nil {
		return fmt.Sprintf("%d → %d", l.Linear.I, l.Linear.O)
	}
	s := l.Conv
	text := fmt.Sprintf("%d×%d×%d → %d, %d×%d", s.C, s.H, s.W, s.O, s.KH, s.KW)
	if s.StrideH > 1 {
		text += fmt.Sprintf("/%d", s.StrideH)
	}
	return text
}

// FLOPs is what one direction computes for the whole batch.
func (l Layer) FLOPs() int {
	if l.Linear != nil {
		return l.Batch * l.Linear.FLOPs()
	}
	return l.Batch * l.Conv.FLOPs()
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
			l := Layer{Model: name, Name: info.Name, Batch: batch, Conv: info.Conv, Linear: info.Linear}
			if batch == 0 {
				l.Batch = DefaultBatch(name)
			}
			var geometry any
			switch {
			case l.Conv != nil:
				geometry = *l.Conv
			case l.Linear != nil:
				geometry = *l.Linear
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
