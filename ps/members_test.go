package ps

import (
	"testing"

	"github.com/hashicorp/raft"

	"convoy/api"
	"convoy/state"
	"convoy/tree"
)

// gradientOf is the gradient of the keeper's step, as one worker computes it.
func gradientOf(m *Machine) *state.Gradient {
	k := m.keeper
	root := tree.Node{Low: 0, High: m.job.Recipe.MicroBatches}
	data, sums := simPartial(m.job, k.Step(), root, k.State().Params)
	for i := range data {
		data[i] /= float32(sums.Examples)
	}
	row := k.NewRow(data, sums)
	row.Chunks = uint32(state.Chunks(len(data), m.cfg.ChunkFloats))
	setShares(row, []share{{"w1", root}})
	return &state.Gradient{Row: row, Data: data}
}

// acked is a receipt of all gradients below received.
func acked(id string, received int) Received {
	return Received{ackMessage(&api.Ack{Job: simJob, Replica: id, Received: uint64(received)})}
}

// committed is the end of the range of steps that actions propose, 0 for none.
func committed(actions []Action) (end int) {
	for _, a := range actions {
		if p, ok := a.(Propose); ok {
			end = max(end, int(p.Entry.GetStepCommit().GetFirst())+len(p.Entry.GetStepCommit().GetRows()))
		}
	}
	return end
}

// TestMajoritiesAreOfTheVotersNow publishes a step under three voters, changes
// them, and has it acknowledged: it is proposed, and the next one published, when a
// majority of the voters of that moment holds it, and not before.
func TestMajoritiesAreOfTheVotersNow(t *testing.T) {
	for _, c := range []struct {
		name            string
		voters, joining []string
		acks            []string // in this order
		enough          int      // so many of them make a majority
	}{
		{"nothing changes", []string{"r1", "r2", "r3"}, nil, []string{"r2", "r3"}, 1},
		{"one that joins does not count", []string{"r1", "r2", "r3"}, []string{"r4"}, []string{"r4", "r4", "r2"}, 3},
		{"a fourth voter raises the majority", []string{"r1", "r2", "r3", "r4"}, nil, []string{"r4", "r2"}, 2},
		{"a removed one does not count", []string{"r1", "r2"}, nil, []string{"r3", "r2"}, 2},
		{"a replaced one counts", []string{"r1", "r2", "r4"}, nil, []string{"r3", "r4"}, 2},
		{"the leader that goes does not count", []string{"r2", "r3"}, nil, []string{"r2", "r3"}, 2},
		{"alone", []string{"r1"}, nil, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, now := leading(t, simFloats), second
			m.keeper.AddGradient(gradientOf(m))
			m.Step(now, Tick{})
			m.Step(now, Again{})
			if m.keeper.Step() != 1 {
				t.Fatal("the first step was not published")
			}
			m.keeper.AddGradient(gradientOf(m))
			actions := m.Step(now, Membership{c.voters, c.joining})
			for n := 0; ; n++ {
				now += commitEvery
				actions = append(actions, m.Step(now, Tick{})...)
				for range 2 { // an action may ask for more
					actions = append(actions, m.Step(now, Again{})...)
				}
				if end, held := committed(actions), n >= c.enough; (end >= 1) != held || (m.keeper.Step() > 1) != held {
					t.Errorf("after %d receipts of %v: proposed up to %d, at step %d; want a majority: %v", n, c.acks, end, m.keeper.Step(), held)
				}
				if n == len(c.acks) {
					break
				}
				actions = append(actions, m.Step(now, acked(c.acks[n], 1))...)
			}
		})
	}
}

// TestAdoptionAsksTheVotersNow: a new leader counts the answers of voters alone,
// and takes the state of the most advanced.
func TestAdoptionAsksTheVotersNow(t *testing.T) {
	m := leading(t, simFloats)
	m.Step(second, Leading{Term: 2})
	m.Step(second, Membership{[]string{"r1", "r2", "r3", "r4"}, []string{"r5"}})
	for _, id := range []string{"r5", "r2", "r9"} {
		m.Step(second, Held{&api.HeldResponse{Replica: id, Ready: true}})
		if m.lead.adopted {
			t.Fatalf("the leader goes on after %s has answered, with 2 of 4 voters", id)
		}
	}
	m.Step(second, Membership{[]string{"r1", "r2", "r3"}, nil})
	if !m.lead.adopted {
		t.Error("the leader waits although 2 of 3 voters have told what they hold")
	}
}

// TestCheckpointsCountByTheVotersNow: files of a replica that has gone do not make a
// majority.
func TestCheckpointsCountByTheVotersNow(t *testing.T) {
	m := leading(t, simFloats)
	m.record.Committed = 4
	for _, id := range []string{"r2", "r3"} {
		m.Step(second, Received{ackMessage(&api.Ack{Job: simJob, Replica: id, CheckpointStep: 4, CheckpointSha256: []byte{1}})})
	}
	m.Step(second, Membership{[]string{"r1", "r2", "r4"}, nil})
	if c := m.lead.log.checkpoint(); c != nil {
		t.Errorf("a checkpoint at step %d is recorded, which one voter has", c.Step)
	}
	m.Step(second, Received{ackMessage(&api.Ack{Job: simJob, Replica: "r4", CheckpointStep: 4, CheckpointSha256: []byte{1}})})
	if c := m.lead.log.checkpoint(); c.GetStep() != 4 {
		t.Errorf("the checkpoint of two of three voters is not recorded: %v", c)
	}
}

func TestAddressesGoThroughRaft(t *testing.T) {
	for _, s := range []Server{{"a", "10.0.0.1:7071", "10.0.0.1:7070"}, {"b", "[::1]:7071", "name:7070"}, {"c", "", "in-process"}} {
		if got := serverOf(raft.Server{ID: raft.ServerID(s.ID), Address: addressOf(s)}); got != s {
			t.Errorf("%v comes back as %v", s, got)
		}
	}
	old := serverOf(raft.Server{ID: "a", Address: "10.0.0.1:7071"})
	if old != (Server{ID: "a", RaftAddress: "10.0.0.1:7071"}) {
		t.Errorf("an address without gRPC's is read as %v", old)
	}
}

func TestReadiness(t *testing.T) {
	want := readiness{applied: 10, job: "j", step: 20}
	ready := func(change func(*api.HeldResponse)) *api.HeldResponse {
		a := &api.HeldResponse{Applied: 10, Ready: true, Step: 20}
		change(a)
		return a
	}
	for name, c := range map[string]struct {
		answer *api.HeldResponse
		met    bool
	}{
		"all there":          {ready(func(*api.HeldResponse) {}), true},
		"a few steps behind": {ready(func(a *api.HeldResponse) { a.Step = 20 - state.MaxAhead }), true},
		"far behind":         {ready(func(a *api.HeldResponse) { a.Step = 19 - state.MaxAhead }), false},
		"no state":           {ready(func(a *api.HeldResponse) { a.Ready = false }), false},
		"log behind":         {ready(func(a *api.HeldResponse) { a.Applied = 9 }), false},
		"shards missing":     {ready(func(a *api.HeldResponse) { a.Lacks = "shards" }), false},
		"no answer":          {nil, false},
	} {
		if got := want.met(c.answer); got != c.met {
			t.Errorf("%s: ready is %v, want %v", name, got, c.met)
		}
	}
}

func TestTheFirstNameOfAClusterStays(t *testing.T) {
	c := newFSM()
	for _, uid := range []string{"first", "second"} {
		give(c, &api.Entry{Body: &api.Entry_ClusterBegin{ClusterBegin: &api.ClusterBegin{Uid: uid}}})
	}
	if c.uid() != "first" {
		t.Errorf("the cluster is called %q", c.uid())
	}
}

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	if id, err := ReadIdentity(dir); id != (Identity{}) || err != nil {
		t.Errorf("an empty folder says %v, %v", id, err)
	}
	for _, want := range []Identity{{"a", "convoy", "one"}, {"b", "convoy", "two"}} {
		if err := WriteIdentity(dir, want); err != nil {
			t.Fatal(err)
		}
		if id, err := ReadIdentity(dir); id != want || err != nil {
			t.Errorf("the folder says %v, %v, want %v", id, err, want)
		}
	}
	if HasLog(dir) {
		t.Error("a folder without a log has one")
	}
}
