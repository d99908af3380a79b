package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"

	"convoy/api"
	"convoy/bus"
	"convoy/data"
	"convoy/job"
	"convoy/models"
	"convoy/nn"
	"convoy/state"
)

// assignment is what a worker has of the job it works on: the data, the bound
// network and the subscription to its gradients.
type assignment struct {
	job   *state.Job
	net   *nn.Net
	pass  *nn.Pass
	feed  *feed
	leave func()

	life context.Context // of the job on this worker
	end  context.CancelFunc
	lazy *data.Lazy // nil where all of the data set is in memory

	working *sync.Mutex // the worker's; held by whoever uses the pool, the pass or the feed
	cuts    []int
}

// assign binds a job's network and data to the worker's pool.
func (w *Worker) assign(j *state.Job, net *nn.Net, set *data.Set, inputs *data.Preparation) *assignment {
	return &assignment{
		job: j, net: net, pass: net.NewPass(w.pool), feed: newFeed(j.Recipe, set, inputs, w.pool), working: &w.working,
	}
}

func (a *assignment) close() {
	a.end()
	a.leave()
	if a.lazy != nil {
		a.lazy.Wait()
	}
}

// join prepares a job. It subscribes to the gradients before the state is
// fetched, so that no gradient falls between the two.
func (w *Worker) join(ctx context.Context, id string) Event {
	a, err := w.prepare(ctx, id)
	if err != nil {
		return Joined{ID: id, Err: err}
	}
	return joinedJob{Joined{ID: id, Job: a.job}, a}
}

func (w *Worker) prepare(ctx context.Context, id string) (a *assignment, err error) {
	status, err := ask(ctx, w, 5*time.Second, func(ctx context.Context, conn grpc.ClientConnInterface) (*api.JobStatus, error) {
		return api.NewJobsClient(conn).Status(ctx, &api.JobRequest{Job: id}, grpc.WaitForReady(true))
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the job: %w", err)
	}
	recipe, err := job.ParseRecipe([]byte(status.Recipe))
	if err != nil {
		return nil, err
	}
	net, err := models.ForRecipe(recipe)
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(w.ctx)
	defer func() {
		if err != nil {
			end()
		}
	}()
	set, lazy, err := w.openData(ctx, life, recipe)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", recipe.Data.Name, err)
	}
	input, err := models.InputOf(recipe)
	if err != nil {
		return nil, err
	}
	inputs, err := data.NewPreparation(set.Manifest, input, recipe.Augment, recipe.Seed)
	if err != nil {
		return nil, err
	}
	a = w.assign(state.NewJob(id, recipe), net, set, inputs)
	a.life, a.end, a.lazy, a.feed.lazy = life, end, lazy, lazy
	if a.leave, err = w.cfg.Carrier.Subscribe(bus.Gradients(w.cfg.Cluster, id), w.receive); err != nil {
		return nil, fmt.Errorf("subscribe to the gradients: %w", err)
	}
	return a, nil
}

// fetchState gets the job's state from one replica.
func (a *assignment) fetchState(ctx context.Context, from api.ReplicasClient) (*state.Copy, error) {
	return state.FetchState(ctx, from, a.job.ID, models.Blank(a.net, a.job.SGD))
}

func (w *Worker) fetchGradient(ctx context.Context, f FetchGradient) Event {
	g, err := ask(ctx, w, 10*time.Second, func(ctx context.Context, conn grpc.ClientConnInterface) (*state.Gradient, error) {
		return state.FetchGradient(ctx, api.NewReplicasClient(conn), f.Job, f.Step)
	})
	return FetchedGradient{Job: f.Job, Gradient: g, Err: err}
}
