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
	"convoy/state"
	"convoy/tree"
)

// slow is so many examples whose only pixel is their index, and lets others run
// while one is read.
type slow int

func (s slow) Len() int { return int(s) }

func (s slow) Example(i int, pixels []byte) int {
	runtime.Gosched()
	pixels[0] = byte(i)
	return i % 2
}

// TestJobsTakeTurns: a job that was dropped may still be gathering when the next
// one begins to compute on the same pool.
func TestJobsTakeTurns(t *testing.T) {
	w, err := New(Config{ID: "w", Cluster: "c", Threads: 2, Replicas: func() []grpc.ClientConnInterface { return []grpc.ClientConnInterface{nil} }})
	if err != nil {
		t.Fatal(err)
	}
	w.pool = kernels.NewPool(2)
	defer w.pool.Close()
	var all sync.WaitGroup
	ready := make(chan struct{})
	for range 2 {
		r := testJob().Recipe
		r.Layers = []job.Layer{{Type: "flatten"}, {Type: "linear", Out: 2}}
		r.Input.Normalize = job.NormalizeUnit
		j := state.NewJob(testID, r)
		net, err := models.ForRecipe(r)
		if err != nil {
			t.Fatal(err)
		}
		about := data.Manifest{Train: 37, Channels: 1, Height: 1, Width: 1}
		a, err := w.assign(j, net, &data.Set{Manifest: about, Train: slow(37), Test: slow(3)}, nil)
		if err != nil {
			t.Fatal(err)
		}
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
