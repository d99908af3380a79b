package ps

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
		now := r.observeRole(ctx, last)
		if !slices.Equal(r.readMembers(), r.Members()) {
			r.post(r.noteMembers) // before the role: a leader decides by who there is
		}
		if now != last {
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
	if now.Sub(r.connectedAt) < natsLostFor || now.Sub(r.handedAt) < handOverAtMin || len(r.otherVoters()) == 0 {
		return
	}
	r.handedAt = now
	r.task(func(ctx context.Context) {
		r.cfg.Log.Warn("this leader has lost NATS and hands over")
		if err := r.transfer(ctx, ""); err != nil {
			r.cfg.Log.Warn("leadership not handed over: start nats-server again", zap.Error(err))
		}
	})
}

// TransferLeadership hands leadership to the voter id, or with "" to the fittest.
// Its errors are ErrNotLeader and gRPC statuses for whoever asked.
func (r *Replica) TransferLeadership(ctx context.Context, id string) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	return r.transfer(ctx, id)
}

// transfer hands leadership over and returns once this replica knows that it no
// longer leads.
func (r *Replica) transfer(ctx context.Context, id string) error {
	if !r.IsLeader() {
		return ErrNotLeader
	}
	if id == r.cfg.ID {
		return nil
	}
	to, err := r.fit(ctx, id)
	if err != nil {
		return err
	}
	r.cfg.Log.Info("handing leadership over", zap.String("to", to.ID))
	_, answered, err := ask(r, func() raft.Future {
		return r.raft.LeadershipTransferToServer(raft.ServerID(to.ID), addressOf(to.Server))
	})
	if err != nil {
		return err
	}
	select {
	case err = <-answered:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err != nil && !notLeader(err) {
		return status.Errorf(codes.FailedPrecondition, "coordinator %s did not take leadership over: %v: ask again", to.ID, err)
	}
	for {
		changed := r.Changed()
		if !r.IsLeader() {
			return nil
		}
		select {
		case <-changed:
		case <-r.done:
			return errStopping
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fit finds the voter id that can lead at once, or with "" the one that is
// furthest: it answers, is connected to NATS and holds a state of the active job.
func (r *Replica) fit(ctx context.Context, id string) (Member, error) {
	candidates := r.otherVoters()
	if id != "" {
		m, found := r.member(id)
		switch {
		case !found:
			return m, status.Errorf(codes.NotFound, "there is no coordinator %q in this cluster: `coordinator cluster status` lists them", id)
		case !m.Voter:
			return m, status.Errorf(codes.FailedPrecondition, "coordinator %s does not vote yet: `coordinator cluster status` says what it lacks", id)
		}
		candidates = []Member{m}
	}
	req := &api.HeldRequest{}
	if job := r.control.active(); job != nil {
		req.Job = job.Submit.Job
	}
	best, bestStep := Member{}, int64(-1)
	var why []string
	for i, answer := range r.askAll(ctx, candidates, req) {
		switch m := candidates[i]; {
		case answer == nil:
			why = append(why, m.ID+" does not answer")
		case !answer.Nats:
			why = append(why, m.ID+" is not connected to NATS")
		case req.Job != "" && !answer.Ready:
			why = append(why, m.ID+" holds no state of job "+req.Job+" yet")
		case int64(answer.Step) > bestStep:
			best, bestStep = m, int64(answer.Step)
		}
	}
	switch {
	case bestStep >= 0:
		return best, nil
	case len(candidates) == 0:
		return best, status.Errorf(codes.FailedPrecondition, "there is no other coordinator that votes: add one first")
	}
	return best, status.Errorf(codes.FailedPrecondition, "no other coordinator can lead now (%s): mend that and ask again", strings.Join(why, "; "))
}

func (r *Replica) setRole(now role) {
	began := now.leading && !r.role.leading
	if now.leader != r.role.leader {
		r.metrics.LeaderChanges.Inc()
	}
	r.metrics.Leads.Set(0)
	if now.leading {
		r.metrics.Leads.Set(1)
	}
	r.role = now
	r.leading.Store(&now)
	r.dirty = true
	r.cfg.Log.Debug("leadership", zap.String("leader", now.leader), zap.Uint64("term", now.term), zap.Bool("here", now.leading))
	r.applyRole()
	if began {
		r.task(func(ctx context.Context) {
			r.nameCluster(ctx)
			r.correctAddress(ctx)
		})
	}
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
