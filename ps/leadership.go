package ps

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/zap"
)

// watchLeadership turns what Raft observes into the role that machines follow.
func (r *Replica) watchLeadership(ctx context.Context) {
	observed := make(chan raft.Observation, 16)
	observer := raft.NewObserver(observed, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	r.raft.RegisterObserver(observer)
	defer r.raft.DeregisterObserver(observer)
	// Observations are dropped when nobody reads them in time, so look by
	// ourselves now and then.
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	var last role
	for {
		if now := r.observeRole(ctx, last); now != last {
			last = now
			r.post(func() { r.setRole(now) })
		}
		select {
		case <-ctx.Done():
			return
		case <-observed:
		case <-look.C:
		}
	}
}

// observeRole reads the role from Raft. A new leader first applies the whole
// log, so that it does not decide on what its predecessor has decided already.
func (r *Replica) observeRole(ctx context.Context, last role) role {
	_, id := r.raft.LeaderWithID()
	now := role{term: r.raft.CurrentTerm(), leader: string(id)}
	if now.leader != r.cfg.ID || r.raft.State() != raft.Leader {
		if now.leader == r.cfg.ID {
			now.leader = ""
		}
		return now
	}
	if last.leading && last.term == now.term {
		return last
	}
	if err := r.raft.Barrier(5 * time.Second).Error(); err != nil {
		if ctx.Err() == nil {
			r.cfg.Log.Debug("not leading yet", zap.Error(err))
		}
		now.leader = ""
		return now
	}
	now.leading = true
	return now
}

func (r *Replica) setRole(now role) {
	r.role = now
	r.leading.Store(&now)
	r.dirty = true
	r.cfg.Log.Debug("leadership", zap.String("leader", now.leader), zap.Uint64("term", now.term), zap.Bool("here", now.leading))
	r.applyRole()
}

// Leader returns the replica that leads, its gRPC address and the term; id and
// address are empty while none is known.
func (r *Replica) Leader() (id, address string, term uint64) {
	now := r.leading.Load()
	return now.leader, r.address(now.leader), now.term
}

// IsLeader reports whether this replica leads and has applied the whole log.
func (r *Replica) IsLeader() bool { return r.leading.Load().leading }

// ID is the replica's id.
func (r *Replica) ID() string { return r.cfg.ID }

func (r *Replica) address(id string) string {
	for _, s := range r.cfg.Raft.Servers {
		if s.ID == id {
			return s.Address
		}
	}
	return ""
}
