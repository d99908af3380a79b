package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"convoy/api"
	"convoy/data"
)

// Submission is a job to hand in.
type Submission struct {
	// RequestID names the submission: 16 to 64 characters of [0-9a-z-]. The same
	// one gives the same job, however often it is handed in.
	RequestID string
	File      []byte // YAML, as job.Parse reads it
	// Data is what the job is trained on, for the upload; nil for a built-in set,
	// which every process makes itself.
	Data *data.Set
}

// Submit uploads what the cluster lacks of the job's data and hands the job in.
func (c *Client) Submit(ctx context.Context, s Submission) (*api.JobStatus, error) {
	request := &api.SubmitRequest{RequestId: s.RequestID, JobFile: s.File}
	if s.Data != nil {
		request.Manifest = s.Data.Manifest.Canonical()
		if err := c.upload(ctx, s.Data, request.Manifest); err != nil {
			return nil, err
		}
	}
	var response *api.SubmitResponse
	err := c.call(ctx, c.timeout, func(ctx context.Context, jobs api.JobsClient) (err error) {
		response, err = jobs.Submit(ctx, request)
		return err
	})
	return response.GetJob(), err
}

func (c *Client) upload(ctx context.Context, set *data.Set, manifest []byte) error {
	var response *api.MissingShardsResponse
	err := c.call(ctx, c.timeout, func(ctx context.Context, jobs api.JobsClient) (err error) {
		response, err = jobs.MissingShards(ctx, &api.MissingShardsRequest{Manifest: manifest})
		return err
	})
	if err != nil || len(response.GetSha256()) == 0 {
		return err
	}
	missing := map[string]bool{}
	for _, name := range response.GetSha256() {
		missing[string(name)] = true
	}
	for _, shard := range set.Manifest.Shards {
		name := shard.Digest()
		if !missing[string(name[:])] {
			continue
		}
		content, err := set.Shard(shard)
		if err != nil {
			return fmt.Errorf("upload examples %d to %d of %s: %w", shard.First, shard.First+shard.Count-1, shard.Split, err)
		}
		request := &api.PutShardRequest{Sha256: name[:], Data: content}
		err = c.call(ctx, max(uploadTimeout, c.timeout), func(ctx context.Context, jobs api.JobsClient) error {
			_, err := jobs.PutShard(ctx, request)
			return err
		})
		if err != nil {
			return fmt.Errorf("upload examples %d to %d of %s: %w", shard.First, shard.First+shard.Count-1, shard.Split, err)
		}
	}
	return nil
}

// List returns all jobs in order of submission.
func (c *Client) List(ctx context.Context) ([]*api.JobStatus, error) {
	var response *api.ListResponse
	err := c.call(ctx, c.timeout, func(ctx context.Context, jobs api.JobsClient) (err error) {
		response, err = jobs.List(ctx, &api.ListRequest{})
		return err
	})
	return response.GetJobs(), err
}

// Status returns a job's status.
func (c *Client) Status(ctx context.Context, job string) (*api.JobStatus, error) {
	var s *api.JobStatus
	err := c.call(ctx, c.timeout, func(ctx context.Context, jobs api.JobsClient) (err error) {
		s, err = jobs.Status(ctx, &api.JobRequest{Job: job})
		return err
	})
	return s, err
}

// Cancel ends a job that has not ended; one that has is left as it is.
func (c *Client) Cancel(ctx context.Context, job string) (*api.JobStatus, error) {
	var s *api.JobStatus
	err := c.call(ctx, c.timeout, func(ctx context.Context, jobs api.JobsClient) (err error) {
		s, err = jobs.Cancel(ctx, &api.JobRequest{Job: job})
		return err
	})
	return s, err
}

// Pause has a job come to rest at the step it is at, with the phase PAUSING until
// it does; one that is paused already is left as it is, one that has ended is an
// error.
func (c *Client) Pause(ctx context.Context, job string) (*api.JobStatus, error) {
	return c.turn(ctx, job, api.JobsClient.Pause)
}

// Resume puts a paused job back into the queue; one that is not paused is left
// as it is, one that has ended is an error.
func (c *Client) Resume(ctx context.Context, job string) (*api.JobStatus, error) {
	return c.turn(ctx, job, api.JobsClient.Resume)
}

// turn makes a call that may be repeated because it names the job's turn as it
// was before: what others decide between two attempts stands.
func (c *Client) turn(ctx context.Context, job string,
	do func(api.JobsClient, context.Context, *api.TurnRequest, ...grpc.CallOption) (*api.JobStatus, error),
) (*api.JobStatus, error) {
	s, err := c.Status(ctx, job)
	if err != nil {
		return nil, err
	}
	request := &api.TurnRequest{Job: job, Turn: &s.Turn}
	err = c.call(ctx, c.timeout, func(ctx context.Context, jobs api.JobsClient) (err error) {
		s, err = do(jobs, ctx, request)
		return err
	})
	return s, err
}

// Health returns nil once one of the replicas says that it serves.
func (c *Client) Health(ctx context.Context) error {
	return c.ask(ctx, c.timeout, func(ctx context.Context, r replica) error {
		answer, err := grpc_health_v1.NewHealthClient(r.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil && answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			return status.Error(codes.Unavailable, "it says that it does not serve")
		}
		return err
	})
}

// Ended reports whether a job in this phase will never do another step.
func Ended(p api.Phase) bool {
	return p == api.Phase_PHASE_FINISHED || p == api.Phase_PHASE_FAILED || p == api.Phase_PHASE_CANCELLED || p == api.Phase_PHASE_SUSPECT
}

// Watch calls see with the job's status now and whenever it changes, until the
// job has ended, see returns an error, or ctx ends. A stream that breaks is
// taken up again at another replica; a status may then be seen twice, and one a
// few steps older than the last may come from a new leader.
func (c *Client) Watch(ctx context.Context, job string, see func(*api.JobStatus) error) error {
	open := func(ctx context.Context, jobs api.JobsClient) (grpc.ServerStreamingClient[api.JobStatus], error) {
		return jobs.Watch(ctx, &api.JobRequest{Job: job})
	}
	ended := false
	take := func(s *api.JobStatus) error {
		ended = Ended(s.GetPhase())
		return see(s)
	}
	return follow(ctx, c, stream[api.JobStatus]{open, take, func() bool { return ended }, patience{first: c.timeout}})
}

// Logs calls see with the job's events, oldest first; with following it goes on
// until the job has ended.
func (c *Client) Logs(ctx context.Context, job string, following bool, see func(*api.LogLine) error) error {
	// A stream that is taken up again starts from the oldest line. Those of one
	// replica come in the order in which it wrote them.
	last, floor := map[string]int64{}, map[string]int64{}
	open := func(ctx context.Context, jobs api.JobsClient) (grpc.ServerStreamingClient[api.LogLine], error) {
		maps.Copy(floor, last)
		return jobs.Logs(ctx, &api.LogsRequest{Job: job, Follow: following})
	}
	take := func(l *api.LogLine) error {
		if before, ok := floor[l.GetReplica()]; ok && l.GetUnixNanos() <= before {
			return nil
		}
		last[l.GetReplica()] = l.GetUnixNanos()
		return see(l)
	}
	var p patience
	if !following {
		p = patience{c.timeout, c.timeout}
	}
	return follow(ctx, c, stream[api.LogLine]{open, take, nil, p})
}

// Rows returns the rows of a job's ledger from step on, oldest first. After an
// error the sequence ends.
func (c *Client) Rows(ctx context.Context, job string, step uint64) iter.Seq2[*api.LedgerRow, error] {
	return func(yield func(*api.LedgerRow, error) bool) {
		stopped := errors.New("stopped")
		open := func(ctx context.Context, jobs api.JobsClient) (grpc.ServerStreamingClient[api.LedgerRow], error) {
			return jobs.Rows(ctx, &api.RowsRequest{Job: job, From: step})
		}
		take := func(row *api.LedgerRow) error {
			if !yield(row, nil) {
				return stopped
			}
			step = row.GetStep() + 1
			return nil
		}
		if err := follow(ctx, c, stream[api.LedgerRow]{open, take, nil, patience{c.timeout, c.timeout}}); err != nil && !errors.Is(err, stopped) {
			yield(nil, err)
		}
	}
}

// patience is how long a stream may be silent before its replica counts as hung.
// 0 is without limit.
type patience struct{ first, later time.Duration }

// stream is one kind of call that answers with many messages.
type stream[T any] struct {
	open func(context.Context, api.JobsClient) (grpc.ServerStreamingClient[T], error)
	take func(*T) error
	// complete tells whether a stream that ended has said all; nil: it always has.
	complete func() bool
	patience patience
}

// follow reads a stream to its end and takes it up at another replica where it
// breaks. An error of take ends it and is returned as it is.
func follow[T any](ctx context.Context, c *Client, s stream[T]) error {
	a := c.attempts(c.timeout)
	for {
		err, taken := s.read(ctx, a)
		switch {
		case taken != nil:
			return taken
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF):
			if s.complete == nil || s.complete() {
				return nil
			}
			err = errors.New("the stream ended before the job")
		case !repeatable(err):
			return sentence(err)
		}
		if err := a.next(ctx, err); err != nil {
			return err
		}
	}
}

// read takes one stream's messages until it ends or breaks (err) or take does
// not want more (taken).
func (s stream[T]) read(ctx context.Context, a *attempts) (err, taken error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := s.patience.first
	if first > 0 {
		first = min(first, a.share())
	}
	alarm := time.AfterFunc(orForever(first), cancel)
	defer alarm.Stop()
	messages, err := s.open(ctx, a.replica().jobs)
	if err != nil {
		return err, nil
	}
	for {
		message, err := messages.Recv()
		if err != nil {
			return err, nil
		}
		alarm.Reset(orForever(s.patience.later))
		a.answered()
		a.c.learnNowAndThen(ctx, a.replica())
		if err := s.take(message); err != nil {
			return nil, err
		}
	}
}

func orForever(d time.Duration) time.Duration {
	if d == 0 {
		return math.MaxInt64
	}
	return d
}
