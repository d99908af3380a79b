package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.uber.org/zap"

	"convoy/api"
	"convoy/job"
	"convoy/ps"
)

// joinLimit is how long a cluster that is to be joined may take to answer.
const joinLimit = 10 * time.Second

// prepareFolder refuses a folder that is another coordinator's, and with Join one
// that is another cluster's.
func (s *Server) prepareFolder(raft net.Listener) error {
	folder, err := ps.ReadIdentity(s.cfg.Dir)
	if err != nil {
		return err
	}
	if folder.Replica != "" && folder.Replica != s.cfg.ID {
		return fmt.Errorf("data folder %s belongs to coordinator %s of cluster %s, this one is %s: give each its own folder", s.cfg.Dir, folder.Replica, folder.Cluster, s.cfg.ID)
	}
	if len(s.cfg.Join) == 0 {
		return nil
	}
	cluster, err := s.askCluster()
	switch {
	case err != nil && folder.UID != "":
		s.log.Warn("the cluster does not answer; going on as the member that this folder belongs to", zap.Error(err))
		return nil
	case err != nil:
		return err
	}
	if err := s.mayJoin(cluster, folder, raft); err != nil {
		return err
	}
	if folder.UID != "" {
		return nil
	}
	return ps.WriteIdentity(s.cfg.Dir, ps.Identity{Replica: s.cfg.ID, Cluster: cluster.Cluster, UID: cluster.Uid})
}

// askCluster asks one of the addresses to join for the cluster's members.
func (s *Server) askCluster() (*api.ClusterStatus, error) {
	ctx, cancel := context.WithTimeout(context.Background(), joinLimit)
	defer cancel()
	for pause := time.NewTicker(200 * time.Millisecond); ; {
		var errs []error
		for _, address := range s.cfg.Join {
			cluster, err := s.askClusterAt(ctx, address)
			if err == nil {
				pause.Stop()
				return cluster, nil
			}
			errs = append(errs, fmt.Errorf("%s: %w", address, err))
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, fmt.Errorf("join a cluster: %w; give the gRPC address of a coordinator that runs, as host:port", errors.Join(errs...))
		}
	}
}

func (s *Server) askClusterAt(ctx context.Context, address string) (*api.ClusterStatus, error) {
	conn, err := s.peers.conn(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinLimit/3)
	defer cancel()
	cluster, err := api.NewJobsClient(conn).Cluster(ctx, &api.ClusterRequest{})
	if err == nil && cluster.Uid == "" {
		err = errors.New("it has no leader yet, or is a coordinator alone without an address for Raft")
	}
	return cluster, err
}

// mayJoin holds what the cluster says against this process and its folder. Where
// the cluster knows this replica by other names for the same addresses, those are
// taken.
func (s *Server) mayJoin(cluster *api.ClusterStatus, folder ps.Identity, raft net.Listener) error {
	switch dir := s.cfg.Dir; {
	case cluster.Cluster != s.cfg.Cluster:
		return fmt.Errorf("the cluster at %s is called %s, this coordinator was told %s: give the same name", strings.Join(s.cfg.Join, ","), cluster.Cluster, s.cfg.Cluster)
	case cluster.ArithmeticVersion != job.ArithmeticVersion:
		return fmt.Errorf("the cluster has arithmetic version %d, this coordinator %d: run the same release everywhere", cluster.ArithmeticVersion, job.ArithmeticVersion)
	case folder.UID != "" && folder.UID != cluster.Uid:
		return fmt.Errorf("data folder %s belongs to another cluster, called %s as well or not: give an empty folder", dir, folder.Cluster)
	case folder.UID == "" && ps.HasLog(dir):
		return fmt.Errorf("data folder %s has a log that is of no cluster to be joined: give an empty folder", dir)
	}
	for _, r := range cluster.Replicas {
		if r.Id == s.cfg.ID {
			return s.isListed(r, raft)
		}
	}
	self := s.cfg.self(raft)
	s.log.Warn("this coordinator waits to be added to the cluster",
		zap.String("add it with", fmt.Sprintf("coordinator cluster add %s=%s/%s --addr %s", self.ID, self.Address, self.RaftAddress, s.cfg.Join[0])))
	return nil
}

// isListed checks that the member the cluster lists under this name is this one.
func (s *Server) isListed(listed *api.ReplicaStatus, raft net.Listener) error {
	self := s.cfg.self(raft)
	raftNamed := len(s.cfg.Peers) > 0 && s.cfg.Peers[0].RaftAddress != ""
	switch {
	case !sameAddress(listed.Address, self.Address, s.cfg.named, s.listener) || !sameAddress(listed.RaftAddress, self.RaftAddress, raftNamed, raft):
		return fmt.Errorf("the cluster has a coordinator %s at %s/%s, this one is at %s/%s: give this one another name, or remove that one first with `coordinator cluster remove %s`",
			self.ID, listed.Address, listed.RaftAddress, self.Address, self.RaftAddress, self.ID)
	case listed.Reachable:
		return fmt.Errorf("coordinator %s runs already, at %s: give this one another name", self.ID, listed.Address)
	case listed.Stage == "voter" && !ps.HasLog(s.cfg.Dir):
		return fmt.Errorf("coordinator %s has a vote in the cluster, and %s has no log of it: with an empty folder it would vote as if it never had; remove it with `coordinator cluster remove %s`, add it again, and start it again", self.ID, s.cfg.Dir, self.ID)
	}
	s.cfg.Advertise = listed.Address
	s.cfg.Peers = []Peer{{ID: self.ID, Address: listed.Address, RaftAddress: listed.RaftAddress}}
	return nil
}

// sameAddress reports whether a listed address may be this process's: the one that
// it was given, or else one with the port, and where it listens on one interface
// the host, that it listens on.
func sameAddress(listed, own string, given bool, l net.Listener) bool {
	if listed == own || given {
		return listed == own
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	listedHost, listedPort, bad := net.SplitHostPort(listed)
	if err != nil || bad != nil || port != listedPort {
		return false
	}
	ip := net.ParseIP(host)
	return host == listedHost || (ip != nil && ip.IsUnspecified())
}
