package coordinator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"convoy/api"
)

const (
	watchPause = 100 * time.Millisecond // between two statuses of a Watch
	logsPause  = 300 * time.Millisecond // between two looks at the replicas' logs
	logsLimit  = 2 * time.Second        // for one replica's log
	pieceBytes = 1 << 20                // of a model's file in one message
)

// Watch sends a job's status whenever it has changed, until it has ended. It is
// the leader's call; when leadership moves the forwarder goes on elsewhere.
func (s *jobService) Watch(req *api.JobRequest, ss grpc.ServerStreamingServer[api.JobStatus]) error {
	var last *api.JobStatus
	for {
		changed := s.replica.Changed()
		if last != nil && !s.replica.IsLeader() {
			return errLeaderMoved
		}
		j, err := s.job(req.GetJob())
		if err != nil {
			return err
		}
		if last == nil || !proto.Equal(j, last) {
			if err := ss.Send(j); err != nil {
				return err
			}
			last = j
		}
		if ended(j) {
			return nil
		}
		if err := s.pause(ss.Context(), watchPause); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ss.Context().Done():
			return status.FromContextError(ss.Context().Err()).Err()
		case <-s.stopping:
			return errLeaderMoved
		}
	}
}

// pause waits; it returns early with an error when the call or this replica
// ends.
func (s *Server) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-s.stopping:
		return errLeaderMoved
	}
}

// Rows sends the ledger as this replica has it.
func (s *jobService) Rows(req *api.RowsRequest, ss grpc.ServerStreamingServer[api.LedgerRow]) error {
	if _, err := s.job(req.GetJob()); err != nil {
		return err
	}
	for row, err := range s.replica.Rows(req.GetJob(), req.GetFrom()) {
		if err != nil {
			return status.Errorf(codes.Internal, "replica %s: read the ledger of job %s: %v", s.cfg.ID, req.GetJob(), err)
		}
		if err := ss.Send(row); err != nil {
			return err
		}
	}
	return nil
}

// Logs merges what all replicas in reach wrote down about a job. With follow,
// lines that reach this replica late come late: order holds within each look.
func (s *jobService) Logs(req *api.LogsRequest, ss grpc.ServerStreamingServer[api.LogLine]) error {
	sent := map[string]int{} // lines by replica
	for {
		j, err := s.job(req.GetJob())
		if err != nil {
			return err
		}
		for _, line := range s.logLines(ss.Context(), req.GetJob(), sent) {
			if err := ss.Send(line); err != nil {
				return err
			}
		}
		if !req.GetFollow() || ended(j) {
			return nil
		}
		if err := s.pause(ss.Context(), logsPause); err != nil {
			return err
		}
		if !s.replica.IsLeader() {
			return errLeaderMoved
		}
	}
}

// logLines collects the lines of all replicas in reach without the first sent
// of each, sorts them by time and counts them in sent.
func (s *Server) logLines(ctx context.Context, job string, sent map[string]int) []*api.LogLine {
	ctx, cancel := context.WithTimeout(ctx, logsLimit)
	defer cancel()
	all := s.members()
	found := make([][]*api.LogLine, len(all))
	var calls sync.WaitGroup
	for i, m := range all {
		calls.Go(func() { found[i] = s.logOf(ctx, m, job) })
	}
	calls.Wait()
	var lines []*api.LogLine
	for i, m := range all {
		if n := sent[m.id]; n < len(found[i]) {
			lines = append(lines, found[i][n:]...)
			sent[m.id] = len(found[i])
		}
	}
	slices.SortStableFunc(lines, func(a, b *api.LogLine) int {
		if a.UnixNanos != b.UnixNanos {
			if a.UnixNanos < b.UnixNanos {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Replica, b.Replica)
	})
	return lines
}

// logOf returns the lines that one replica wrote, as far as they can be had: a
// log is worth reading without those of a replica that is down.
func (s *Server) logOf(ctx context.Context, m member, job string) []*api.LogLine {
	req := &api.JobRequest{Job: job}
	if m.id == s.cfg.ID {
		c := &collector{ctx: ctx}
		if err := s.replica.FetchLog(req, c); err != nil {
			return nil
		}
		return c.lines
	}
	conn, err := s.peers.conn(m.address)
	if err != nil {
		return nil
	}
	stream, err := api.NewReplicasClient(conn).FetchLog(ctx, req)
	if err != nil {
		return nil
	}
	var lines []*api.LogLine
	for {
		line, err := stream.Recv()
		if err != nil {
			return lines
		}
		lines = append(lines, line)
	}
}

// collector is the stream of a FetchLog that this process asks itself for.
type collector struct {
	grpc.ServerStream
	ctx   context.Context
	lines []*api.LogLine
}

func (c *collector) Context() context.Context { return c.ctx }

func (c *collector) Send(line *api.LogLine) error {
	c.lines = append(c.lines, line)
	return nil
}

// Model sends the newest recorded checkpoint, from this disk or from that of
// any replica which has it, and checks on the way that it is what was recorded.
func (s *jobService) Model(req *api.JobRequest, ss grpc.ServerStreamingServer[api.Piece]) error {
	j, err := s.job(req.GetJob())
	if err != nil {
		return err
	}
	path, record, here := s.replica.Checkpoint(j.GetJob())
	if here && (record.GetStep() >= j.GetCheckpointStep() || marked(ss.Context(), localKey)) {
		return s.sendFile(path, record.GetSha256(), ss)
	}
	if j.GetCheckpointSha256() == "" && !here {
		return status.Errorf(codes.FailedPrecondition, "job %s has no checkpoint yet: ask again when it has, at the end of its first epoch", j.GetJob())
	}
	if marked(ss.Context(), localKey) {
		return status.Errorf(codes.NotFound, "replica %s has no checkpoint of job %s", s.cfg.ID, j.GetJob())
	}
	for _, m := range s.others() {
		if sent, err := s.modelFrom(m, req, j.GetCheckpointSha256(), ss); sent {
			return err
		}
	}
	if here { // an older one, which is better than none
		return s.sendFile(path, record.GetSha256(), ss)
	}
	return status.Errorf(codes.FailedPrecondition, "no replica in reach has the checkpoint of job %s at step %d: start the others and ask again", j.GetJob(), j.GetCheckpointStep())
}

// modelFrom passes another replica's file on. sent tells whether anything went
// out, in which case the answer is settled.
func (s *jobService) modelFrom(m member, req *api.JobRequest, want string, ss grpc.ServerStreamingServer[api.Piece]) (sent bool, err error) {
	conn, err := s.peers.conn(m.address)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ss.Context(), localKey, "1"))
	defer cancel()
	stream, err := api.NewJobsClient(conn).Model(ctx, req)
	if err != nil {
		return false, err
	}
	sum := sha256.New()
	for {
		piece, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && sent:
			if hex.EncodeToString(sum.Sum(nil)) != want {
				return true, status.Errorf(codes.DataLoss, "replica %s sent another checkpoint than the newest recorded one: ask again", m.id)
			}
			return true, nil
		case err != nil:
			return sent, err
		}
		sum.Write(piece.GetData()) // a hash never fails
		if err := ss.Send(piece); err != nil {
			return true, err
		}
		sent = true
	}
}

// sendFile streams a checkpoint's file and checks its SHA-256.
func (s *jobService) sendFile(path string, want []byte, ss grpc.ServerStreamingServer[api.Piece]) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return status.Errorf(codes.Internal, "replica %s: %v: ask again", s.cfg.ID, err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = status.Errorf(codes.Internal, "replica %s: %v", s.cfg.ID, cerr)
		}
	}()
	sum := sha256.New()
	buffer := make([]byte, pieceBytes)
	for {
		n, err := io.ReadFull(f, buffer)
		if n > 0 {
			sum.Write(buffer[:n]) // a hash never fails
			if err := ss.Send(&api.Piece{Data: buffer[:n]}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if !bytes.Equal(sum.Sum(nil), want) {
				return status.Errorf(codes.DataLoss, "replica %s: checkpoint %s is not the file that was recorded: its disk damaged it; take the file from another replica", s.cfg.ID, path)
			}
			return nil
		case err != nil:
			return status.Errorf(codes.Internal, "replica %s: read %s: %v", s.cfg.ID, path, err)
		}
	}
}
