package coordinator

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"convoy/api"
	"convoy/digest"
	"convoy/ps"
)

// jobService answers the calls of api.Jobs. The forwarder has seen to it that
// those of leaderCalls come to the leader.
type jobService struct {
	api.UnimplementedJobsServer
	*Server
}

func (s *jobService) List(context.Context, *api.ListRequest) (*api.ListResponse, error) {
	return &api.ListResponse{Jobs: s.replica.Jobs()}, nil
}

func (s *jobService) Status(_ context.Context, req *api.JobRequest) (*api.JobStatus, error) {
	return s.job(req.GetJob())
}

func (s *jobService) Cancel(ctx context.Context, req *api.JobRequest) (*api.JobStatus, error) {
	j, err := s.job(req.GetJob())
	if err != nil || ended(j) {
		return j, err
	}
	return s.decide(ctx, j, &api.Entry{Body: &api.Entry_JobCancel{JobCancel: &api.JobCancel{Job: j.GetJob()}}})
}

func (s *jobService) Pause(ctx context.Context, req *api.TurnRequest) (*api.JobStatus, error) {
	j, turn, err := s.turn(req, "paused")
	if err != nil || turn != j.GetTurn() || onHold(j) {
		return j, err
	}
	return s.decide(ctx, j, &api.Entry{Body: &api.Entry_JobPause{JobPause: &api.JobPause{Job: j.GetJob(), Turn: turn}}})
}

func (s *jobService) Resume(ctx context.Context, req *api.TurnRequest) (*api.JobStatus, error) {
	j, turn, err := s.turn(req, "resumed")
	if err != nil || turn != j.GetTurn() || !onHold(j) {
		return j, err
	}
	return s.decide(ctx, j, &api.Entry{Body: &api.Entry_JobResume{JobResume: &api.JobResume{Job: j.GetJob(), Turn: turn}}})
}

// turn finds the job that is to be paused or resumed, and the turn at which that
// was decided.
func (s *jobService) turn(req *api.TurnRequest, what string) (j *api.JobStatus, turn uint64, err error) {
	if j, err = s.job(req.GetJob()); err != nil {
		return nil, 0, err
	}
	if ended(j) {
		return nil, 0, status.Errorf(codes.FailedPrecondition, "job %s has ended and cannot be %s: submit it again to train once more", j.GetJob(), what)
	}
	turn = j.GetTurn()
	if req.Turn != nil {
		turn = req.GetTurn()
	}
	return j, turn, nil
}

// onHold reports whether a job is paused, or will be in a moment.
func onHold(j *api.JobStatus) bool {
	return j.GetPhase() == api.Phase_PHASE_PAUSED || j.GetPhase() == api.Phase_PHASE_PAUSING
}

// decide writes a decision on a job to the log and returns the job's status
// after it.
func (s *jobService) decide(ctx context.Context, j *api.JobStatus, e *api.Entry) (*api.JobStatus, error) {
	if err := s.propose(ctx, e); err != nil {
		return nil, err
	}
	return s.job(j.GetJob())
}

// MissingShards lists the shards that fewer than a majority hold. A replica out
// of reach holds nothing, as far as one can tell.
func (s *jobService) MissingShards(ctx context.Context, req *api.MissingShardsRequest) (*api.MissingShardsResponse, error) {
	m, err := parseManifest(req.GetManifest())
	if err != nil || m.Builtin() {
		return &api.MissingShardsResponse{}, err
	}
	holders := map[digest.Sum]int{}
	for _, a := range askAll(ctx, s.Server, func(ctx context.Context, c api.ShardsClient) (*api.MissingShardsResponse, error) {
		return c.Lacking(ctx, req)
	}, func([]answer[*api.MissingShardsResponse]) bool { return false }) {
		if a.err != nil || !a.voter {
			continue
		}
		lacking := map[digest.Sum]bool{}
		for _, b := range a.value.GetSha256() {
			if sum, ok := digest.FromBytes(b); ok {
				lacking[sum] = true
			}
		}
		seen := map[digest.Sum]bool{}
		for _, shard := range m.Shards {
			if sum := shard.Digest(); !lacking[sum] && !seen[sum] {
				seen[sum] = true
				holders[sum]++
			}
		}
	}
	reply := &api.MissingShardsResponse{}
	need := s.majority()
	for _, shard := range m.Shards {
		if sum := shard.Digest(); holders[sum] < need {
			holders[sum] = need // listed once
			reply.Sha256 = append(reply.Sha256, sum[:])
		}
	}
	return reply, nil
}

func (s *jobService) PutShard(ctx context.Context, req *api.PutShardRequest) (*api.PutShardResponse, error) {
	if _, err := checkShard(req); err != nil {
		return nil, err
	}
	err := s.onMajority(ctx, "the shard is stored", "start the replicas that are missing and send it again",
		func(ctx context.Context, c api.ShardsClient) error {
			_, err := c.StoreShard(ctx, req)
			return err
		})
	if err != nil {
		return nil, err
	}
	return &api.PutShardResponse{}, nil
}

// job returns a job's status or NOT_FOUND.
func (s *Server) job(id string) (*api.JobStatus, error) {
	if j, ok := s.replica.Job(id); ok {
		return j, nil
	}
	if id == "" {
		return nil, status.Error(codes.InvalidArgument, "no job is named: give the id that submit printed, or see `job list`")
	}
	return nil, status.Errorf(codes.NotFound, "there is no job %q: `job list` shows the jobs", id)
}

// ended reports whether a job will not change any more.
func ended(j *api.JobStatus) bool {
	return slices.Contains([]api.Phase{api.Phase_PHASE_FINISHED, api.Phase_PHASE_FAILED, api.Phase_PHASE_CANCELLED, api.Phase_PHASE_SUSPECT}, j.GetPhase())
}

// propose writes an entry to the log. errLeaderMoved tells the forwarder to try
// again at the next leader: whether the entry was committed nobody knows, and
// all callers look before they propose.
func (s *Server) propose(ctx context.Context, e *api.Entry) error {
	err := s.replica.Propose(ctx, e)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case errors.Is(err, ps.ErrNotLeader), !s.replica.IsLeader():
		return errLeaderMoved
	}
	return status.Errorf(codes.Internal, "replica %s: write to the log: %v: see its log, and ask again", s.cfg.ID, err)
}
