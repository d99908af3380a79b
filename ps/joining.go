package ps

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/zap"

	"convoy/api"
	"convoy/state"
)

// A replica joins in three stages. As a member without a vote it receives the log
// and the gradients, fetches what it lacks (complete.go), and acknowledges without
// being counted: "joining". Once it has all that a voter answers for it is "ready",
// and the leader gives it its vote: "voter". The job goes on meanwhile.
const (
	stageJoining = "joining"
	stageReady   = "ready"
	stageVoter   = "voter"
)

const promoteEvery = 300 * time.Millisecond

// promotion is the leader's care for the replicas that join; the loop's own.
type promotion struct {
	asking bool
	at     time.Time
	index  uint64 // what was committed when they were asked last
}

// promoteReady asks the replicas that join whether they are ready. It runs in the
// loop.
func (r *Replica) promoteReady() {
	p, now := &r.promotion, time.Now()
	_, joining := r.sides()
	if !r.role.leading || len(joining) == 0 || p.asking || now.Sub(p.at) < promoteEvery {
		return
	}
	want := readiness{applied: p.index}
	p.at, p.index = now, r.raft.CommitIndex()
	if want.applied == 0 {
		return // what they must have applied is known the next time
	}
	if n := r.runner; n != nil {
		if n.machine.Keeper() == nil {
			return
		}
		want.job, want.step = n.id(), uint64(n.machine.Keeper().Step())
	}
	p.asking = true
	r.task(func(ctx context.Context) {
		r.promote(ctx, want)
		r.post(func() { r.promotion.asking = false })
	})
}

// readiness is what a replica must have for a vote, apart from what it says itself
// that it lacks.
type readiness struct {
	applied uint64 // index in the log
	job     string // the active one, "" for none
	step    uint64 // whose state the leader held
}

func (w readiness) met(a *api.HeldResponse) bool {
	return a != nil && a.Lacks == "" && a.Applied >= w.applied &&
		(w.job == "" || a.Ready && a.Step+state.MaxAhead >= w.step)
}

func (r *Replica) promote(ctx context.Context, want readiness) {
	joining := slices.DeleteFunc(r.others(), func(m Member) bool { return m.Voter })
	for i, answer := range r.askAll(ctx, joining, &api.HeldRequest{Job: want.job, Complete: true}) {
		if !want.met(answer) {
			continue
		}
		if err := r.giveVote(ctx, joining[i]); err != nil {
			r.cfg.Log.Warn("a replica that is ready did not get its vote, trying again", zap.String("member", joining[i].ID), zap.Error(err))
		}
	}
}

func (r *Replica) giveVote(ctx context.Context, m Member) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	if now, ok := r.member(m.ID); !ok || now != m || !r.IsLeader() {
		return nil
	}
	return r.change(ctx, m.ID+" votes", func(limit time.Duration) raft.Future {
		return r.raft.AddVoter(raft.ServerID(m.ID), addressOf(m.Server), 0, limit)
	})
}

// ErrRemoved says that the cluster goes on without this replica.
var ErrRemoved = errors.New("the cluster has removed this coordinator, which stops: its data folder may be deleted; to take it back, `coordinator cluster add` it and start it again")

const (
	removalEvery = 500 * time.Millisecond
	lonelyAfter  = 2 * time.Second // without a leader, a replica asks whether it is still a member
)

// watchRemoval finds out that this replica has been removed. Raft tells it
// nothing, or at best the list without it, which may not be committed. So it asks:
// a leader whom a majority has just confirmed knows who is a member.
func (r *Replica) watchRemoval(ctx context.Context) {
	known := map[string]Member{}
	// Whether it was a member: one that never was waits to be added, as does one
	// that is to join anew.
	begun := r.Members()
	was := !r.cfg.Raft.Join && len(begun) > 0
	var lonely time.Time
	for ticker := time.NewTicker(removalEvery); ; {
		select {
		case <-ctx.Done():
			ticker.Stop()
			return
		case <-ticker.C:
		}
		for _, m := range r.others() {
			known[m.ID] = m
		}
		_, is := r.member(r.cfg.ID)
		was = was || is || !slices.Equal(r.Members(), begun) // it may have come and gone between two looks
		leader, _, _ := r.Leader()
		switch {
		case !was || (is && leader != ""):
			lonely = time.Time{}
			continue
		case lonely.IsZero():
			lonely = time.Now()
		}
		if is && time.Since(lonely) < lonelyAfter {
			continue
		}
		if r.isRemoved(ctx, known) {
			ticker.Stop()
			close(r.removed)
			return
		}
	}
}

// isRemoved asks all replicas that this one has ever known, and learns of others.
func (r *Replica) isRemoved(ctx context.Context, known map[string]Member) bool {
	asked := slices.Collect(maps.Values(known))
	for _, answer := range r.askAll(ctx, asked, &api.HeldRequest{Verify: true}) {
		member := false
		for _, m := range answer.GetMembers() {
			member = member || m.Id == r.cfg.ID
			if m.Id != r.cfg.ID {
				known[m.Id] = Member{Server{m.Id, m.RaftAddress, m.Address}, m.Voter}
			}
		}
		if answer.GetVerified() && !member {
			return true
		}
	}
	return false
}

func apiMembers(all []Member) []*api.Member {
	list := make([]*api.Member, len(all))
	for i, m := range all {
		list[i] = &api.Member{Id: m.ID, Address: m.Address, RaftAddress: m.RaftAddress, Voter: m.Voter}
	}
	return list
}
