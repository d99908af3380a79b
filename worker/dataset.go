package worker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"

	"convoy/api"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
)

// openData finds the data set that the recipe names by its manifest's digest:
// built in, or as shards from the cache or the replicas. A set of more bytes
// than the worker may hold is lazy, and lives as long as life.
func (w *Worker) openData(ctx, life context.Context, r job.Recipe) (*data.Set, *data.Lazy, error) {
	want, err := digest.Parse(r.Data.Manifest)
	if err != nil {
		return nil, nil, err
	}
	if data.Builtin(r.Data.Name) {
		set := data.Digits()
		if have := set.Manifest.Digest(); have != want {
			return nil, nil, fmt.Errorf("this worker makes it with digest %s, the job wants %s: run the same release everywhere", have, want)
		}
		return set, nil, nil
	}
	source, err := w.shardSource()
	if err != nil {
		return nil, nil, err
	}
	m, err := source.manifest(ctx, want)
	if err != nil {
		return nil, nil, err
	}
	limit := w.cfg.DataMemory
	if m.Bytes() <= limit {
		set, err := data.FromShards(m, func(sha digest.Sum) ([]byte, error) { return source.Get(ctx, sha) })
		return set, nil, err
	}
	switch needs := m.Needs(r.Window); {
	case r.Window == 0:
		return nil, nil, fmt.Errorf("it has %d bytes, and this worker holds %d: set data.window in the job file, or give the worker more with --data-memory", m.Bytes(), limit)
	case needs > limit:
		return nil, nil, fmt.Errorf("a window of %d shards needs %d bytes, and this worker holds %d: lower data.window in the job file, or give the worker more with --data-memory", r.Window, needs, limit)
	}
	lazy, err := data.Lazily(life, m, limit, source)
	if err != nil {
		return nil, nil, err
	}
	return lazy.Set(), lazy, nil
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

// Get returns a shard.
func (s *shardSource) Get(ctx context.Context, sha digest.Sum) ([]byte, error) {
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
	if s.cache == nil {
		return b, nil
	}
	if err := s.cache.Put(sha, b); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	if limit := s.w.cfg.CacheBytes; limit > 0 {
		if err := s.cache.Trim(limit); err != nil {
			return nil, fmt.Errorf("cache: %w", err)
		}
	}
	return b, nil
}

// Trouble tells why a lazy set waits for a shard.
func (s *shardSource) Trouble(err error) {
	s.w.cfg.Log.Warn("a shard cannot be had, trying again: are the coordinators reachable?", zap.Error(err))
}
