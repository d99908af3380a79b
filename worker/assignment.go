package worker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"

	"convoy/api"
	"convoy/bus"
	"convoy/data"
	"convoy/digest"
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

	working *sync.Mutex // the worker's; held by whoever uses the pool, the pass or the feed
	cuts    []int
}

// assign binds a job's network and data to the worker's pool.
func (w *Worker) assign(j *state.Job, net *nn.Net, set *data.Set, inputs *data.Preparation) *assignment {
	return &assignment{
		job: j, net: net, pass: net.NewPass(w.pool), feed: newFeed(j.Recipe, set, inputs, w.pool), working: &w.working,
	}
}

func (a *assignment) close() { a.leave() }

// join prepares a job. It subscribes to the gradients before the state is
// fetched, so that no gradient falls between the two.
func (w *Worker) join(ctx context.Context, id string) Event {
	a, err := w.prepare(ctx, id)
	if err != nil {
		return Joined{ID: id, Err: err}
	}
	return joinedJob{Joined{ID: id, Job: a.job}, a}
}

func (w *Worker) prepare(ctx context.Context, id string) (*assignment, error) {
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
	set, err := w.openData(ctx, recipe.Data)
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
	a := w.assign(state.NewJob(id, recipe), net, set, inputs)
	if a.leave, err = w.cfg.Carrier.Subscribe(bus.Gradients(w.cfg.Cluster, id), w.receive); err != nil {
		return nil, fmt.Errorf("subscribe to the gradients: %w", err)
	}
	return a, nil
}

// openData finds the data set that the recipe names by its manifest's digest:
// built in, or as shards from the cache or the replicas.
func (w *Worker) openData(ctx context.Context, d job.Data) (*data.Set, error) {
	want, err := digest.Parse(d.Manifest)
	if err != nil {
		return nil, err
	}
	if data.Builtin(d.Name) {
		set, err := data.Open(d.Name, "")
		if err != nil {
			return nil, err
		}
		if have := set.Manifest.Digest(); have != want {
			return nil, fmt.Errorf("this worker makes it with digest %s, the job wants %s: run the same release everywhere", have, want)
		}
		return set, nil
	}
	source, err := w.shardSource()
	if err != nil {
		return nil, err
	}
	m, err := source.manifest(ctx, want)
	if err != nil {
		return nil, err
	}
	return data.FromShards(m, func(sha digest.Sum) ([]byte, error) { return source.shard(ctx, sha) })
}

// shardSource gets shards from the cache, and from the replicas into it.
type shardSource struct {
	w     *Worker
	cache *data.Store // nil without a cache folder
}

func (w *Worker) shardSource() (*shardSource, error) {
	s := &shardSource{w: w}
	if w.cfg.Cache == "" {
		return s, nil
	}
	var err error
	if s.cache, err = data.OpenStore(filepath.Join(w.cfg.Cache, "shards")); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return s, nil
}

func (s *shardSource) manifest(ctx context.Context, want digest.Sum) (data.Manifest, error) {
	return ask(ctx, s.w, 10*time.Second, func(ctx context.Context, conn grpc.ClientConnInterface) (data.Manifest, error) {
		answer, err := api.NewShardsClient(conn).FetchManifest(ctx, &api.FetchManifestRequest{Digest: want[:]})
		if err != nil {
			return data.Manifest{}, err
		}
		m, err := data.ParseManifest(answer.Manifest)
		if err == nil && m.Digest() != want {
			err = fmt.Errorf("the replica sent the manifest %s instead of %s", m.Digest(), want)
		}
		return m, err
	})
}

func (s *shardSource) shard(ctx context.Context, sha digest.Sum) ([]byte, error) {
	if s.cache != nil {
		if b, err := s.cache.Get(sha); err == nil {
			return b, nil
		}
	}
	b, err := ask(ctx, s.w, time.Minute, func(ctx context.Context, conn grpc.ClientConnInterface) ([]byte, error) {
		answer, err := api.NewShardsClient(conn).FetchShard(ctx, &api.FetchShardRequest{Sha256: sha[:]})
		if err != nil {
			return nil, err
		}
		if digest.Of(answer.Data) != sha {
			return nil, errors.New("the replica sent other bytes than asked for")
		}
		return answer.Data, nil
	})
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", sha, err)
	}
	if s.cache != nil {
		if err := s.cache.Put(sha, b); err != nil {
			return nil, fmt.Errorf("cache: %w", err)
		}
	}
	return b, nil
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
