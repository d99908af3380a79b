package ps

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/zap"

	"convoy/api"
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

const (
	natsLostFor   = time.Second     // a leader without NATS for so long hands over
	handOverAtMin = 5 * time.Second // between two attempts
)

// handOverIfCutOff gives leadership to a follower that is connected to NATS when
// this leader is not.
func (r *Replica) handOverIfCutOff() {
	now := time.Now()
	if r.cfg.Carrier.Connected() || !r.role.leading {
		r.connectedAt = now
		return
	}
	if now.Sub(r.connectedAt) < natsLostFor || now.Sub(r.handedAt) < handOverAtMin || len(r.cfg.Raft.Servers) == 1 {
		return
	}
	r.handedAt = now
	active := ""
	if r.runner != nil {
		active = r.runner.id()
	}
	r.task(func(ctx context.Context) { r.handOverTo(ctx, active) })
}

// handOverTo looks for a follower that can lead a job and hands over to it.
func (r *Replica) handOverTo(ctx context.Context, job string) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for _, s := range r.cfg.Raft.Servers {
		conn, err := r.cfg.Dial(s.Address)
		if s.ID == r.cfg.ID || err != nil {
			continue
		}
		answer, err := api.NewReplicasClient(conn).Held(ctx, &api.HeldRequest{Job: job})
		if err != nil || !answer.Nats || (job != "" && !answer.Ready) {
			continue
		}
		r.cfg.Log.Warn("this leader has lost NATS and hands over", zap.String("to", s.ID))
		if err := r.raft.LeadershipTransferToServer(raft.ServerID(s.ID), raft.ServerAddress(s.RaftAddress)).Error(); err != nil {
			r.cfg.Log.Warn("leadership not handed over", zap.Error(err))
		}
		return
	}
	r.cfg.Log.Warn("no replica is connected to NATS: start nats-server again")
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
