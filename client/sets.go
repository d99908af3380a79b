package client

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"convoy/api"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
)

// Sets opens the data sets of a cluster's jobs: built in, or as shards from the
// replicas, by way of a cache on disk.
type Sets struct {
	// Replicas returns connections to some or all replicas; any that answers will do.
	Replicas   func() []grpc.ClientConnInterface
	Cache      string // folder for shards; empty keeps none on disk
	CacheBytes int64  // bounds the shards in Cache; 0 keeps all
	Memory     int64  // bounds the shards in memory, in bytes; see data.OpenShards
	// Trouble is told why a shard of a lazy set cannot be had; it is tried again.
	Trouble func(error)
}

// Open finds the data set that a recipe names by its manifest's digest. A set of
// more bytes than may be held is lazy, and lives as long as life; else lazy is nil.
func (s Sets) Open(ctx, life context.Context, r job.Recipe) (set *data.Set, lazy *data.Lazy, err error) {
	want, err := digest.Parse(r.Data.Manifest)
	if err != nil {
		return nil, nil, err
	}
	if data.Builtin(r.Data.Name) {
		set, err := data.OpenBuiltin(want)
		return set, nil, err
	}
	source := &shardSource{sets: s}
	if s.Cache != "" {
		if source.cache, err = data.OpenStore(filepath.Join(s.Cache, "shards")); err != nil {
			return nil, nil, fmt.Errorf("cache: %w", err)
		}
	}
	m, err := s.manifest(ctx, want)
	if err != nil {
		return nil, nil, err
	}
	return data.OpenShards(ctx, life, m, r.Window, s.Memory, source)
}

func (s Sets) manifest(ctx context.Context, want digest.Sum) (data.Manifest, error) {
	return Ask(ctx, s.Replicas, 10*time.Second, func(ctx context.Context, conn grpc.ClientConnInterface) (data.Manifest, error) {
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

// shardSource gets shards from the cache, and from the replicas into it.
type shardSource struct {
	sets  Sets
	cache *data.Store // nil without a cache folder
}

// Get returns a shard.
func (s *shardSource) Get(ctx context.Context, sha digest.Sum) ([]byte, error) {
	if s.cache != nil {
		if b, err := s.cache.Get(sha); err == nil {
			return b, nil
		}
	}
	b, err := Ask(ctx, s.sets.Replicas, time.Minute, func(ctx context.Context, conn grpc.ClientConnInterface) ([]byte, error) {
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
	if limit := s.sets.CacheBytes; limit > 0 {
		if err := s.cache.Trim(limit); err != nil {
			return nil, fmt.Errorf("cache: %w", err)
		}
	}
	return b, nil
}

// Trouble tells why a lazy set waits for a shard.
func (s *shardSource) Trouble(err error) { s.sets.Trouble(err) }

// Ask tries the replicas known now in turn until one answers, for as long as a call may take.
// The order begins at a different one each time, so that none carries all joins.
// The error joins theirs.
func Ask[T any](ctx context.Context, known func() []grpc.ClientConnInterface, limit time.Duration, call func(context.Context, grpc.ClientConnInterface) (T, error)) (T, error) {
	var none T
	var errs []error
	replicas := known()
	first := int(time.Now().UnixNano()/1000) % len(replicas)
	for i := range replicas {
		conn := replicas[(first+i)%len(replicas)]
		one, cancel := context.WithTimeout(ctx, limit)
		got, err := call(one, conn)
		cancel()
		if err == nil {
			return got, nil
		}
		errs = append(errs, err)
	}
	return none, errors.Join(errs...)
}
