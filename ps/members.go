package ps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"convoy/api"
)

// Raft's configuration is the one list of who is a member and who votes, and so
// the members' gRPC addresses are kept in it as well: an address there is
// "grpc-host:port/raft-host:port". Whoever has the log can reach everybody, and
// no second list can differ from it.

// Member is a replica of the cluster.
type Member struct {
	Server
	// Voter counts in majorities. The others hold the state and the log, and
	// become voters once they have all that a voter answers for.
	Voter bool
}

func addressOf(s Server) raft.ServerAddress {
	return raft.ServerAddress(s.Address + "/" + s.RaftAddress)
}

func serverOf(s raft.Server) Server {
	address, raftAddress, both := strings.Cut(string(s.Address), "/")
	if !both { // as folders of an earlier release have it
		address, raftAddress = "", string(s.Address)
	}
	return Server{ID: string(s.ID), Address: address, RaftAddress: raftAddress}
}

// Members are the cluster's replicas by id, as this replica's log has them. The
// list is empty where this replica has not been added to a cluster yet.
func (r *Replica) Members() []Member { return *r.members.Load() }

// readMembers reads the list from Raft. Raft itself counts by the newest
// configuration, committed or not; so does whoever reads here. Two lists that
// follow each other differ by one replica, so that their majorities overlap.
func (r *Replica) readMembers() []Member {
	future := r.raft.GetConfiguration()
	if future.Error() != nil {
		return r.Members()
	}
	var all []Member
	for _, s := range future.Configuration().Servers {
		m := Member{serverOf(s), s.Suffrage == raft.Voter}
		if i := slices.IndexFunc(r.cfg.Raft.Servers, func(s Server) bool { return s.ID == m.ID }); m.Address == "" && i >= 0 {
			m.Address = r.cfg.Raft.Servers[i].Address
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// noteMembers follows the list. It runs in the loop.
func (r *Replica) noteMembers() {
	now := r.readMembers()
	if slices.Equal(now, r.Members()) {
		return
	}
	r.members.Store(&now)
	r.dirty = true
	if r.runner != nil {
		voters, joining := r.sides()
		r.step(r.runner, Membership{voters, joining})
	}
}

// sides are the ids of the voters and of those who are to become voters.
func (r *Replica) sides() (voters, joining []string) {
	for _, m := range r.Members() {
		if m.Voter {
			voters = append(voters, m.ID)
		} else {
			joining = append(joining, m.ID)
		}
	}
	return voters, joining
}

func (r *Replica) member(id string) (Member, bool) {
	for _, m := range r.Members() {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}

// others are all members without this replica.
func (r *Replica) others() []Member {
	return slices.DeleteFunc(slices.Clone(r.Members()), func(m Member) bool { return m.ID == r.cfg.ID })
}

// otherVoters are the voters that could lead instead of this replica.
func (r *Replica) otherVoters() []Member {
	return slices.DeleteFunc(r.others(), func(m Member) bool { return !m.Voter })
}

func (r *Replica) address(id string) string {
	m, _ := r.member(id)
	return m.Address
}

// AddMember adds a replica that does not vote yet; adding it again changes
// nothing. Its errors are ErrNotLeader and gRPC statuses for whoever asked.
func (r *Replica) AddMember(ctx context.Context, s Server) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	if !r.IsLeader() {
		return ErrNotLeader
	}
	if r.cfg.Raft.Listener == nil {
		return status.Errorf(codes.FailedPrecondition, "coordinator %s runs without an address for Raft, where others could not reach it: start it again with --raft-listen HOST:PORT, then add others", r.cfg.ID)
	}
	for _, m := range r.Members() {
		switch {
		case m.Server == s:
			return nil
		case m.ID == s.ID:
			return status.Errorf(codes.AlreadyExists, "coordinator %s is a member at %s/%s: remove that one first, or give the new one another name", s.ID, m.Address, m.RaftAddress)
		case m.Address == s.Address || m.RaftAddress == s.RaftAddress:
			return status.Errorf(codes.AlreadyExists, "coordinator %s has one of the addresses %s and %s already: give %s its own", m.ID, s.Address, s.RaftAddress, s.ID)
		}
	}
	return r.change(ctx, "added "+s.ID, func(limit time.Duration) raft.Future {
		return r.raft.AddNonvoter(raft.ServerID(s.ID), addressOf(s), 0, limit)
	})
}

// RemoveMember ends a membership. A leader that is to go hands over first and
// returns ErrNotLeader: the next one goes on. What is no member needs nothing.
func (r *Replica) RemoveMember(ctx context.Context, id string) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	m, found := r.member(id)
	switch {
	case !r.IsLeader():
		return ErrNotLeader
	case !found:
		return nil
	}
	if m.Voter {
		if err := r.mayLose(ctx, id); err != nil {
			return err
		}
	}
	if id == r.cfg.ID {
		if err := r.transfer(ctx, ""); err != nil {
			return err
		}
		return ErrNotLeader
	}
	return r.change(ctx, "removed "+id, func(limit time.Duration) raft.Future {
		return r.raft.RemoveServer(raft.ServerID(id), 0, limit)
	})
}

// mayLose refuses to take away a voter without whom no majority would live.
func (r *Replica) mayLose(ctx context.Context, id string) error {
	left := slices.DeleteFunc(slices.Clone(r.Members()), func(m Member) bool { return !m.Voter || m.ID == id })
	if len(left) == 0 {
		return status.Errorf(codes.FailedPrecondition, "coordinator %s is the only one that votes, and the cluster's state would go with it: add another one and wait until it votes, or stop the process if the cluster is to end", id)
	}
	var silent []string
	for i, answer := range r.askAll(ctx, left, &api.HeldRequest{}) {
		if answer == nil {
			silent = append(silent, left[i].ID)
		}
	}
	if need := len(left)/2 + 1; len(left)-len(silent) < need {
		return status.Errorf(codes.FailedPrecondition, "without coordinator %s, %d of the %d voters left would be running and a majority is %d: start %s first, or remove what is down before what runs",
			id, len(left)-len(silent), len(left), need, strings.Join(silent, ", "))
	}
	return nil
}

// askAll asks members how they are, all at once; nil stands for no answer within
// a second.
func (r *Replica) askAll(ctx context.Context, members []Member, req *api.HeldRequest) []*api.HeldResponse {
	answers := make([]*api.HeldResponse, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		asked.Go(func() {
			if answer, err := r.heldBy(ctx, m, req); err == nil {
				answers[i] = answer
			}
		})
	}
	asked.Wait()
	return answers
}

// heldBy asks one member, this replica included, how it is.
func (r *Replica) heldBy(ctx context.Context, m Member, req *api.HeldRequest) (*api.HeldResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if m.ID == r.cfg.ID {
		return r.Held(ctx, req)
	}
	conn, err := r.cfg.Dial(m.Address)
	if err != nil {
		return nil, err
	}
	return api.NewReplicasClient(conn).Held(ctx, req)
}

// changeLimit is how long a majority may take to commit a change of members.
const changeLimit = 5 * time.Second

// change carries out one change of the list, and returns once it is committed
// and this replica's machine counts by the new list. One follows on the other, so
// that what the machine counts by is never two changes old.
func (r *Replica) change(ctx context.Context, what string, begin func(limit time.Duration) raft.Future) error {
	_, answered, err := ask(r, func() raft.Future { return begin(changeLimit) })
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, changeLimit+time.Second)
	defer cancel()
	select {
	case err = <-answered:
	case <-ctx.Done():
		err = errors.New("no majority has confirmed it in time; it takes effect once one does")
	}
	switch {
	case notLeader(err):
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	case err != nil:
		return status.Errorf(codes.FailedPrecondition, "change the members of the cluster: %v: look at `coordinator cluster status`, start what is missing and ask again", err)
	}
	r.cfg.Log.Info("members changed", zap.String("what", what))
	return r.call(ctx, r.noteMembers)
}

// notLeader reports whether Raft refused because another replica leads, or soon
// will.
func notLeader(err error) bool {
	return errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost) || errors.Is(err, raft.ErrLeadershipTransferInProgress)
}

// correctAddress puts this leader's addresses into the list where it has moved or
// an earlier release wrote them.
func (r *Replica) correctAddress(ctx context.Context) {
	r.changing.Lock()
	defer r.changing.Unlock()
	self := r.cfg.Raft.self(r.cfg.ID)
	if m, ok := r.member(r.cfg.ID); !ok || m.Server == self || r.cfg.Raft.Listener == nil || !r.IsLeader() {
		return
	}
	err := r.change(ctx, "moved "+self.ID, func(limit time.Duration) raft.Future {
		return r.raft.AddVoter(raft.ServerID(self.ID), addressOf(self), 0, limit)
	})
	if err != nil {
		r.cfg.Log.Warn("the cluster's list has another address of this replica", zap.Error(err))
	}
}
