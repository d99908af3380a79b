package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"

	"convoy/api"
	"convoy/bus"
	"convoy/client"
	"convoy/compute"
	"convoy/data"
	"convoy/job"
	"convoy/models"
	"convoy/nn"
	"convoy/state"
)

// assignment is what a worker has of the job it works on: the data, the bound
// network and the subscription to its gradients.
type assignment struct {
	job      *state.Job
	net      *nn.Net
	computer *compute.Computer
	leave    func()

	life context.Context // of the job on this worker
	end  context.CancelFunc
	lazy *data.Lazy // nil where all of the data set is in memory

	working *sync.Mutex // the worker's; held by whoever uses the pool or the computer
}

// assign binds a job's network and data to the worker's pool.
func (w *Worker) assign(j *state.Job, net *nn.Net, set *data.Set, lazy *data.Lazy) (*assignment, error) {
	c, err := compute.New(j, net, set, lazy, w.pool)
	if err != nil {
		return nil, err
	}
	return &assignment{job: j, net: net, computer: c, lazy: lazy, working: &w.working}, nil
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
	status, err := client.Ask(ctx, w.cfg.Replicas, 5*time.Second, func(ctx context.Context, conn grpc.ClientConnInterface) (*api.JobStatus, error) {
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
	set, lazy, err := w.sets().Open(ctx, life, recipe)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", recipe.Data.Name, err)
	}
	a, err = w.assign(state.NewJob(id, recipe), net, set, lazy)
	if err != nil {
		return nil, err
	}
	a.life, a.end = life, end
	if a.leave, err = w.cfg.Carrier.Subscribe(bus.Gradients(w.cfg.Cluster, id), w.receive); err != nil {
		return nil, fmt.Errorf("subscribe to the gradients: %w", err)
	}
	return a, nil
}

// sets are the data sets as the worker may hold them.
func (w *Worker) sets() client.Sets {
	return client.Sets{
		Replicas: w.cfg.Replicas, Cache: w.cfg.Cache, CacheBytes: w.cfg.CacheBytes, Memory: w.cfg.DataMemory,
		Trouble: func(err error) {
			w.cfg.Log.Warn("a shard cannot be had, trying again: are the coordinators reachable?", zap.Error(err))
		},
	}
}

// fetchState gets the job's state from one replica.
func (a *assignment) fetchState(ctx context.Context, from api.ReplicasClient) (*state.Copy, error) {
	return state.FetchState(ctx, from, a.job.ID, models.Blank(a.net, a.job.SGD))
}

func (w *Worker) fetchGradient(ctx context.Context, f FetchGradient) Event {
	g, err := client.Ask(ctx, w.cfg.Replicas, 10*time.Second, func(ctx context.Context, conn grpc.ClientConnInterface) (*state.Gradient, error) {
		return state.FetchGradient(ctx, api.NewReplicasClient(conn), f.Job, f.Step)
	})
	return FetchedGradient{Job: f.Job, Gradient: g, Err: err}
}
