package coordinator

import (
	"context"
	"errors"
	"net"
	"strconv"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"convoy/api"
	"convoy/bus"
	"convoy/ps"
)

func (s *jobService) Cluster(ctx context.Context, _ *api.ClusterRequest) (*api.ClusterStatus, error) {
	return s.replica.Status(ctx), nil
}

func (s *jobService) AddReplica(ctx context.Context, req *api.AddReplicaRequest) (*api.ClusterStatus, error) {
	if err := bus.CheckName(req.GetId()); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "coordinator's name: %v", err)
	}
	for _, address := range []string{req.GetAddress(), req.GetRaftAddress()} {
		if err := reachableAddress(address); err != nil {
			return nil, err
		}
	}
	err := s.replica.AddMember(ctx, ps.Server{ID: req.GetId(), Address: req.GetAddress(), RaftAddress: req.GetRaftAddress()})
	return s.changed(ctx, err)
}

// reachableAddress refuses what others could not dial.
func reachableAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	if n, bad := strconv.Atoi(port); err != nil || bad != nil || n < 1 || n > 65535 || host == "" || (ip != nil && ip.IsUnspecified()) || len(address) > 255 {
		return status.Errorf(codes.InvalidArgument, "%q is no address that others can reach: want host:port, such as 10.0.0.4:7070", address)
	}
	return nil
}

func (s *jobService) RemoveReplica(ctx context.Context, req *api.RemoveReplicaRequest) (*api.ClusterStatus, error) {
	return s.changed(ctx, s.replica.RemoveMember(ctx, req.GetId()))
}

func (s *jobService) TransferLeader(ctx context.Context, req *api.TransferLeaderRequest) (*api.ClusterStatus, error) {
	if req.GetFrom() != "" && req.GetFrom() != s.cfg.ID { // done before, and asked again by the forwarder
		return s.replica.Status(ctx), nil
	}
	return s.changed(ctx, s.replica.TransferLeadership(ctx, req.GetId()))
}

// changed answers a call that has changed the cluster, or tells the forwarder to
// ask the next leader.
func (s *Server) changed(ctx context.Context, err error) (*api.ClusterStatus, error) {
	switch {
	case errors.Is(err, ps.ErrNotLeader):
		return nil, errLeaderMoved
	case err != nil:
		return nil, err
	}
	return s.replica.Status(ctx), nil
}

// watchVoters says what the number of voters means, at start and when it changes.
func (s *Server) watchVoters(ctx context.Context) {
	told := 0
	for {
		changed := s.replica.Changed()
		if n := s.voters(); n != told {
			told = n
			switch n {
			case 1:
				s.log.Warn("one coordinator votes: what is committed is as durable as its disk; three survive the loss of any one")
			case 2:
				s.log.Warn("two coordinators vote: the loss of either one stops the jobs until it is back; three survive the loss of any one")
			default:
				s.log.Info("coordinators vote", zap.Int("voters", n), zap.Int("may be lost", max(n-1, 0)/2))
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
