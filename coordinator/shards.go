package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"convoy/api"
	"convoy/data"
	"convoy/digest"
	"convoy/metrics"
)

// maxShard bounds a shard in bytes, so that a message holds one.
const maxShard = maxMessage - 64<<10

// shardService serves the shards and manifests on this replica's disk.
type shardService struct {
	api.UnimplementedShardsServer
	id    string
	store *data.Store
	// lost is told of content that was wanted and is not here, or was damaged.
	lost func()
}

func (s *shardService) FetchManifest(_ context.Context, req *api.FetchManifestRequest) (*api.FetchManifestResponse, error) {
	sum, err := sumOf(req.GetDigest())
	if err != nil {
		return nil, err
	}
	m, err := s.store.Manifest(sum)
	if err != nil {
		return nil, s.missing(err)
	}
	return &api.FetchManifestResponse{Manifest: m.Canonical()}, nil
}

func (s *shardService) FetchShard(_ context.Context, req *api.FetchShardRequest) (*api.FetchShardResponse, error) {
	sum, err := sumOf(req.GetSha256())
	if err != nil {
		return nil, err
	}
	b, err := s.store.Get(sum)
	if err != nil {
		return nil, s.missing(err)
	}
	return &api.FetchShardResponse{Data: b}, nil
}

func (s *shardService) StoreManifest(_ context.Context, req *api.StoreManifestRequest) (*api.PutShardResponse, error) {
	m, err := parseManifest(req.GetManifest())
	if err != nil {
		return nil, err
	}
	if err := s.store.PutManifest(m); err != nil {
		return nil, s.unwritable(err)
	}
	return &api.PutShardResponse{}, nil
}

func (s *shardService) StoreShard(_ context.Context, req *api.PutShardRequest) (*api.PutShardResponse, error) {
	sum, err := checkShard(req)
	if err != nil {
		return nil, err
	}
	if err := s.store.Put(sum, req.GetData()); err != nil {
		return nil, s.unwritable(err)
	}
	return &api.PutShardResponse{}, nil
}

func (s *shardService) Lacking(_ context.Context, req *api.MissingShardsRequest) (*api.MissingShardsResponse, error) {
	m, err := parseManifest(req.GetManifest())
	if err != nil {
		return nil, err
	}
	reply := &api.MissingShardsResponse{}
	if m.Builtin() {
		return reply, nil
	}
	for _, shard := range s.store.Lacking(m) {
		sum := shard.Digest()
		reply.Sha256 = append(reply.Sha256, sum[:])
	}
	return reply, nil
}

func (s *shardService) missing(err error) error {
	if errors.Is(err, data.ErrMissing) {
		s.lost()
		return status.Errorf(codes.NotFound, "replica %s: %v: ask another replica", s.id, err)
	}
	return status.Errorf(codes.Internal, "replica %s: %v", s.id, err)
}

func (s *shardService) unwritable(err error) error {
	return status.Errorf(codes.Internal, "replica %s: %v: look at its disk and send it again", s.id, err)
}

func sumOf(b []byte) (digest.Sum, error) {
	sum, ok := digest.FromBytes(b)
	if !ok {
		return digest.Sum{}, status.Errorf(codes.InvalidArgument, "a digest of %d bytes: want %d, a SHA-256", len(b), len(sum))
	}
	return sum, nil
}

// checkShard refuses a shard that is too long, or not what it says it is.
func checkShard(req *api.PutShardRequest) (digest.Sum, error) {
	sum, err := sumOf(req.GetSha256())
	if err != nil {
		return digest.Sum{}, err
	}
	if n := len(req.GetData()); n == 0 || n > maxShard {
		return digest.Sum{}, status.Errorf(codes.InvalidArgument, "shard %.8s has %d bytes: want 1 to %d; import the data set again", sum, n, maxShard)
	}
	if got := digest.Of(req.GetData()); got != sum {
		return digest.Sum{}, status.Errorf(codes.InvalidArgument, "shard %.8s has content of digest %.8s: it was damaged on the way, send it again", sum, got)
	}
	return sum, nil
}

func parseManifest(b []byte) (data.Manifest, error) {
	m, err := data.ParseManifest(b)
	if err != nil {
		return data.Manifest{}, status.Error(codes.InvalidArgument, err.Error())
	}
	for _, shard := range m.Shards {
		if shard.Bytes > maxShard && !m.Builtin() {
			return data.Manifest{}, status.Errorf(codes.InvalidArgument, "manifest of %q: a shard of %d bytes, at most %d travel in one message: import the data set with smaller shards", m.Name, shard.Bytes, maxShard)
		}
	}
	return m, nil
}

// localShards is this replica's shardService in the shape of a client.
type localShards struct{ s *shardService }

func (l localShards) FetchManifest(ctx context.Context, in *api.FetchManifestRequest, _ ...grpc.CallOption) (*api.FetchManifestResponse, error) {
	return l.s.FetchManifest(ctx, in)
}

func (l localShards) FetchShard(ctx context.Context, in *api.FetchShardRequest, _ ...grpc.CallOption) (*api.FetchShardResponse, error) {
	return l.s.FetchShard(ctx, in)
}

func (l localShards) StoreManifest(ctx context.Context, in *api.StoreManifestRequest, _ ...grpc.CallOption) (*api.PutShardResponse, error) {
	return l.s.StoreManifest(ctx, in)
}

func (l localShards) StoreShard(ctx context.Context, in *api.PutShardRequest, _ ...grpc.CallOption) (*api.PutShardResponse, error) {
	return l.s.StoreShard(ctx, in)
}

func (l localShards) Lacking(ctx context.Context, in *api.MissingShardsRequest, _ ...grpc.CallOption) (*api.MissingShardsResponse, error) {
	return l.s.Lacking(ctx, in)
}

// shardsAt is a replica's Shards service, this replica's own included.
func (s *Server) shardsAt(m member) (api.ShardsClient, error) {
	if m.id == s.cfg.ID {
		return localShards{s.shards}, nil
	}
	conn, err := s.peers.conn(m.address)
	if err != nil {
		return nil, err
	}
	return api.NewShardsClient(conn), nil
}

// fetchPause is how long completeShards rests at least between two looks.
const fetchPause = time.Second

// shardsNotLookedYet is what a replica lacks until completeShards has looked.
var shardsNotLookedYet = "has not looked yet which shards it lacks"

// lackingShards says which data set is not complete here, "" for none.
func (s *Server) lackingShards() string { return *s.lacks.Load() }

// lookAgain has completeShards look at the data sets once more.
func (s *Server) lookAgain() {
	select {
	case s.look <- struct{}{}:
	default: // it will
	}
}

// completeShards copies from other replicas what this one lacks of the
// committed data sets, until ctx ends. A majority has it; this makes it all. What
// is on disk is read through once, so that damage is found before somebody waits
// for what is damaged; later it is found when it is read.
func (s *Server) completeShards(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	told := "" // the problem that was logged last
	read := map[digest.Sum]bool{}
	for {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil
		}
		changed := s.replica.Changed()
		complete, lacks := true, ""
		for _, b := range s.replica.Control().GetManifests() {
			sum, ok := digest.FromBytes(b)
			if !ok || s.builtin(sum) {
				continue
			}
			err := s.completeSet(ctx, sum)
			if err == nil && !read[sum] { // the manifest may have come just now
				read[sum] = s.readThrough(ctx, sum)
				err = s.completeSet(ctx, sum)
			}
			if err != nil {
				complete, lacks = false, fmt.Sprintf("shards of data set %.8s", sum)
				if told == err.Error() {
					continue
				}
				told = err.Error()
				s.log.Warn("data set is not complete here yet, trying again", zap.String("manifest", sum.String()), zap.Error(err))
			}
		}
		s.lacks.Store(&lacks)
		if complete {
			select {
			case <-changed:
			case <-s.look:
			case <-ctx.Done():
				return nil
			}
		}
		pause.Reset(fetchPause)
	}
}

// readThrough compares the shards of a data set that are here with their digests,
// so that the store lets go of those that are damaged. It reports false where the
// manifest itself is missing.
func (s *Server) readThrough(ctx context.Context, sum digest.Sum) bool {
	m, err := s.store.Manifest(sum)
	if err != nil {
		return false
	}
	for _, shard := range m.Shards {
		if ctx.Err() != nil {
			return false
		}
		if !s.store.Has(shard.Digest()) {
			continue
		}
		if _, err := s.store.Get(shard.Digest()); err != nil {
			s.log.Warn("a shard is damaged, fetching it from another replica", zap.String("data", m.Name), zap.Error(err))
		}
	}
	return true
}

// completeSet fetches a manifest and its shards as far as they are missing.
func (s *Server) completeSet(ctx context.Context, sum digest.Sum) error {
	m, err := s.store.Manifest(sum)
	if errors.Is(err, data.ErrMissing) {
		if m, err = s.fetchManifest(ctx, sum); err == nil {
			err = s.store.PutManifest(m)
		}
	}
	if err != nil {
		return err
	}
	for _, shard := range s.store.Lacking(m) {
		if err := s.fetchShard(ctx, shard.Digest()); err != nil {
			return err
		}
	}
	return nil
}

// gather makes this replica's copy of a data set complete.
func (s *Server) gather(ctx context.Context, m data.Manifest) error {
	if err := s.store.PutManifest(m); err != nil {
		return err
	}
	return s.completeSet(ctx, m.Digest())
}

// sendShard copies a shard that is here to another replica.
func (s *Server) sendShard(ctx context.Context, to api.ShardsClient, sum []byte) error {
	sha, err := sumOf(sum)
	if err != nil {
		return err
	}
	b, err := s.store.Get(sha)
	if err != nil {
		return err
	}
	_, err = to.StoreShard(ctx, &api.PutShardRequest{Sha256: sum, Data: b})
	return err
}

func (s *Server) fetchManifest(ctx context.Context, sum digest.Sum) (m data.Manifest, err error) {
	err = s.fromOthers(ctx, fmt.Sprintf("manifest %.8s", sum), func(ctx context.Context, c api.ShardsClient) error {
		reply, err := c.FetchManifest(ctx, &api.FetchManifestRequest{Digest: sum[:]})
		if err != nil {
			return err
		}
		if m, err = data.ParseManifest(reply.GetManifest()); err == nil && m.Digest() != sum {
			err = fmt.Errorf("it sent a manifest of digest %.8s", m.Digest())
		}
		if err == nil {
			s.cfg.Metrics.Repaired(metrics.Manifest, 1)
		}
		return err
	})
	return m, err
}

func (s *Server) fetchShard(ctx context.Context, sum digest.Sum) error {
	return s.fromOthers(ctx, fmt.Sprintf("shard %.8s", sum), func(ctx context.Context, c api.ShardsClient) error {
		reply, err := c.FetchShard(ctx, &api.FetchShardRequest{Sha256: sum[:]})
		if err != nil {
			return err
		}
		if err := s.store.Put(sum, reply.GetData()); err != nil {
			return err
		}
		s.cfg.Metrics.Repaired(metrics.Shard, 1)
		return nil
	})
}

// fromOthers asks the other replicas one after the other until one delivers.
func (s *Server) fromOthers(ctx context.Context, what string, fetch func(context.Context, api.ShardsClient) error) error {
	errs := []error{errors.New("no other replica has it")}
	for _, m := range s.others() {
		c, err := s.shardsAt(m)
		if err == nil {
			callCtx, cancel := context.WithTimeout(ctx, askLimit)
			err = fetch(callCtx, c)
			cancel()
		}
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", m.id, err))
	}
	return fmt.Errorf("fetch %s: %w", what, errors.Join(errs...))
}
