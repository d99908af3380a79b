package coordinator

import (
	"net"

	"convoy/models"
	"convoy/ps"
)

// openReplica opens the parameter server's replica in the run folder.
func openReplica(cfg Config, raftListener net.Listener, p *peers) (replica, error) {
	servers := []ps.Server{cfg.self(raftListener)}
	for _, peer := range cfg.Peers {
		if peer.ID != cfg.ID {
			servers = append(servers, ps.Server{ID: peer.ID, RaftAddress: peer.RaftAddress, Address: peer.Address})
		}
	}
	return ps.Open(ps.Config{
		ID: cfg.ID, Cluster: cfg.Cluster, Dir: cfg.Dir,
		Carrier:     cfg.carrier,
		ChunkFloats: cfg.ChunkFloats,
		Runner:      cfg.runner,
		Raft:        ps.RaftConfig{Servers: servers, Join: len(cfg.Join) > 0, Listener: raftListener, Election: cfg.Election},
		Lacks:       cfg.lacks,
		Dial:        p.conn,
		Initial:     models.Initial,
		Metrics:     cfg.Metrics,
		Log:         cfg.Log,
	})
}

// self is this replica as the others are to know it.
func (c Config) self(raftListener net.Listener) ps.Server {
	self := ps.Server{ID: c.ID, Address: c.Advertise}
	for _, peer := range c.Peers {
		if peer.ID == c.ID {
			self.RaftAddress = peer.RaftAddress
		}
	}
	if self.RaftAddress == "" && raftListener != nil {
		self.RaftAddress = reachable(raftListener.Addr().String())
	}
	return self
}
