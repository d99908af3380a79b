package worker

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"convoy/data"
	"convoy/job"
	"convoy/kernels"
	"convoy/models"
	"convoy/nn"
	"convoy/tree"
)

// indexed is examples whose only pixel is their index.
type indexed int

func (s indexed) Len() int { return int(s) }

func (s indexed) Example(i int, pixels []byte) int {
	pixels[0] = byte(i)
	return i % 2
}

// inputs prepares examples of one pixel.
func inputs(t *testing.T) *data.Preparation {
	p, err := data.NewPreparation(data.Manifest{Channels: 1, Height: 1, Width: 1}, job.Input{Normalize: job.NormalizeUnit}, job.Augment{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGatherPlaces: each example of a node knows its place in the step's batch,
// which its dropout follows from, whoever computes the node.
func TestGatherPlaces(t *testing.T) {
	j := testJob()
	pool := kernels.NewPool(1)
	defer pool.Close()
	a := &assignment{
		job: j, pool: pool, set: &data.Set{Train: indexed(37), Test: indexed(3)}, inputs: inputs(t),
		batch: batch{order: newOrder(j.Recipe)},
	}
	for step := range 4 {
		whole := a.gather(step, tree.Node{Low: 0, High: 4})
		images := append([]float32(nil), whole.Images...)
		if whole.First != 0 || whole.Step != step || whole.Seed != j.Recipe.Seed {
			t.Errorf("step %d: the whole batch begins at %d of step %d with seed %d", step, whole.First, whole.Step, whole.Seed)
		}
		for _, n := range []tree.Node{{Low: 0, High: 2}, {Low: 1, High: 2}, {Low: 2, High: 4}, {Low: 3, High: 4}} {
			part := a.gather(step, n)
			for i, v := range part.Images {
				if v != images[part.First+i] {
					t.Errorf("step %d, %v: example %d is not that at place %d", step, n, i, part.First+i)
				}
			}
		}
	}
}

// slow lets others run while an example is read.
type slow struct{ indexed }

func (s slow) Example(i int, pixels []byte) int {
	runtime.Gosched()
	return s.indexed.Example(i, pixels)
}

// TestJobsTakeTurns: a job that was dropped may still be gathering when the next
// one begins to compute on the same pool.
func TestJobsTakeTurns(t *testing.T) {
	w, err := New(Config{ID: "w", Cluster: "c", Threads: 2, Replicas: []grpc.ClientConnInterface{nil}})
	if err != nil {
		t.Fatal(err)
	}
	w.pool = kernels.NewPool(2)
	defer w.pool.Close()
	var all sync.WaitGroup
	ready := make(chan struct{})
	for range 2 {
		j := testJob()
		net, err := nn.Build(nn.Chain{nn.Flatten{}, nn.Linear{Out: 2}}, nn.Shape{C: 1, H: 1, W: 1}, nn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		a := w.assign(j, net)
		a.set = &data.Set{Train: slow{37}, Test: slow{3}}
		a.inputs = inputs(t)
		s := models.Blank(net, j.SGD)
		all.Go(func() {
			<-ready
			for range 50 {
				a.work(context.Background(), Compute{Step: 0, Nodes: []tree.Node{{Low: 0, High: 4}}, State: s}, func(Event) {})
			}
		})
	}
	close(ready)
	all.Wait()
}
