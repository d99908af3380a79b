package inspect

import (
	"fmt"

	"convoy/data"
	"convoy/job"
	"convoy/kernels"
	"convoy/models"
)

// preparation is how examples and pictures become the network's input, as the
// recipe has it. Where that takes the mean and the deviation of the data that the
// network was trained on, their manifest must be at hand.
func (t *Trained) preparation() (*data.Preparation, error) {
	in, err := models.InputOf(t.Recipe)
	if err != nil {
		return nil, err
	}
	d := t.Recipe.Data
	m := data.Manifest{
		Name: d.Name, Train: d.Train, Channels: d.Channels, Height: d.Height, Width: d.Width,
		PixelSums: make([]data.PixelSums, d.Channels),
	}
	if t.manifest != nil {
		m = *t.manifest
	} else if in.Normalize == job.NormalizeSet {
		return nil, fmt.Errorf("%s takes inputs normalised by the mean and deviation of data set %s, which is not in a run's folder around it: name it with --data", t.File, d.Name)
	}
	return data.NewPreparation(m, in, t.Recipe.Augment, t.Recipe.Seed)
}

// prepareAtOnce is how many examples a goroutine prepares one after the other.
const prepareAtOnce = 16

// prepare writes examples low to low+len(labels) of a split as the network takes
// them into images, and their labels into labels.
func prepare(pool *kernels.Pool, p *data.Preparation, split data.Split, low int, images []float32, labels []int32) {
	n, size := len(labels), p.Len()
	pool.Run((n+prepareAtOnce-1)/prepareAtOnce, func(task int) {
		first := task * prepareAtOnce
		last := min(first+prepareAtOnce, n)
		indices := make([]int, last-first)
		for i := range indices {
			indices[i] = low + first + i
		}
		p.Evaluate(split, indices, images[first*size:last*size], labels[first:last])
	})
}
