package compute

import (
	"testing"

	"convoy/data"
	"convoy/job"
	"convoy/kernels"
	"convoy/models"
	"convoy/state"
	"convoy/tree"
)

// BenchmarkFeed is a step of LeNet of 256 images on one thread: of 56×56 as they
// are, which is little but arithmetic, and of 28×28, changed and resized to 56×56,
// in the leader's turn and beside the arithmetic on another core.
func BenchmarkFeed(b *testing.B) {
	large := job.Input{Height: 56, Width: 56, Normalize: job.NormalizeUnit}
	changes := job.Augment{Shift: 2, Brightness: 0.2, Contrast: 0.2}
	for _, c := range []struct {
		name   string
		of     data.Manifest
		in     job.Input
		a      job.Augment
		beside bool
	}{
		{"56 as they are", data.Manifest{Channels: 1, Height: 56, Width: 56}, job.Input{Normalize: job.NormalizeUnit}, job.Augment{}, false},
		{"28 to 56, changed, in turn", data.Manifest{Channels: 1, Height: 28, Width: 28}, large, changes, false},
		{"28 to 56, changed, beside", data.Manifest{Channels: 1, Height: 28, Width: 28}, large, changes, true},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkFeed(b, c.of, c.in, c.a, c.beside) })
	}
}

func benchmarkFeed(b *testing.B, of data.Manifest, in job.Input, a job.Augment, beside bool) {
	d := of.ForRecipe()
	d.Name, d.Train, d.Test, d.Classes = "still", 1<<20, 1, 10
	r := job.Recipe{Model: "lenet-relu", Data: d, Input: in, Augment: a, Epochs: 1, Batch: 256, MicroBatches: 8}
	net, err := models.ForRecipe(r)
	if err != nil {
		b.Fatal(err)
	}
	prepared, err := data.NewPreparation(of, in, a, 1)
	if err != nil {
		b.Fatal(err)
	}
	pool := kernels.NewPool(1)
	defer pool.Close()
	j := state.NewJob("bench", r)
	c := assemble(j, net, &data.Set{Train: still{}, Test: still{}}, prepared, pool)
	if !beside {
		c.feed.idle, c.feed.ahead = false, c.feed.now
	}
	all := tree.Node{Low: 0, High: 8}
	params := models.Blank(net, j.SGD).Params
	for t := 0; b.Loop(); t++ {
		c.Plan(t, []tree.Node{all})
		c.Node(params, t, all, make([]float32, len(params))) // as a worker, which sends it
		c.Rest()
	}
	c.Stop()
}

// still is one black image at every index.
type still struct{}

func (still) Len() int { return 1 << 20 }

func (still) Example(i int, pixels []byte) int {
	clear(pixels)
	return i % 10
}
