package coordinator

import (
	"net"

	"convoy/models"
	"convoy/ps"
)

// openReplica opens the parameter server's replica in the run folder.
func openReplica(cfg Config, raftListener net.Listener, p *peers) (replica, error) {
	self := ps.Server{ID: cfg.ID, Address: cfg.Advertise}
	servers := make([]ps.Server, 0, 1+len(cfg.Peers))
	for _, peer := range cfg.Peers {
		if peer.ID == cfg.ID {
			self.RaftAddress = peer.RaftAddress
			continue
		}
		servers = append(servers, ps.Server{ID: peer.ID, RaftAddress: peer.RaftAddress, Address: peer.Address})
	}
	if self.RaftAddress == "" && raftListener != nil {
		self.RaftAddress = reachable(raftListener.Addr().String())
	}
	return ps.Open(ps.Config{
		ID: cfg.ID, Cluster: cfg.Cluster, Dir: cfg.Dir,
		Carrier:     cfg.carrier,
		ChunkFloats: cfg.ChunkFloats,
		Runner:      cfg.runner,
		Raft:        ps.RaftConfig{Servers: append(servers, self), Listener: raftListener, Election: cfg.Election},
		Dial:        p.conn,
		Initial:     models.Initial,
		Log:         cfg.Log,
	})
}
