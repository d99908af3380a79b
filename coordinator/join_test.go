package coordinator

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

	"convoy/api"
	"convoy/job"
	"convoy/ps"
)

// TestWhoMayJoin holds what a cluster says of itself against a process that wants to
// join it.
func TestWhoMayJoin(t *testing.T) {
	listed := func(stage string, reachable bool, at string) []*api.ReplicaStatus {
		return []*api.ReplicaStatus{{Id: "d", Address: at + ":7070", RaftAddress: at + ":7071", Stage: stage, Reachable: reachable}}
	}
	for name, c := range map[string]struct {
		cluster func(*api.ClusterStatus)
		folder  ps.Identity
		log     bool     // whether the folder has a Raft log
		refused []string // what the refusal says; nil for none
	}{
		"not added yet":             {},
		"added":                     {cluster: func(s *api.ClusterStatus) { s.Replicas = listed("joining", false, "h") }},
		"comes back":                {cluster: func(s *api.ClusterStatus) { s.Replicas = listed("voter", false, "h") }, folder: ps.Identity{Replica: "d", UID: "this"}, log: true},
		"another name":              {cluster: func(s *api.ClusterStatus) { s.Cluster = "other" }, refused: []string{"is called other", "give the same name"}},
		"another arithmetic":        {cluster: func(s *api.ClusterStatus) { s.ArithmeticVersion++ }, refused: []string{"arithmetic version", "run the same release"}},
		"folder of another cluster": {folder: ps.Identity{Replica: "d", Cluster: "convoy", UID: "that"}, log: true, refused: []string{"belongs to another cluster", "give an empty folder"}},
		"folder of nobody knows":    {log: true, refused: []string{"has a log", "give an empty folder"}},
		"name taken":                {cluster: func(s *api.ClusterStatus) { s.Replicas = listed("voter", true, "elsewhere") }, refused: []string{"elsewhere:7070", "another name", "cluster remove d"}},
		"runs already":              {cluster: func(s *api.ClusterStatus) { s.Replicas = listed("voter", true, "h") }, log: true, folder: ps.Identity{UID: "this"}, refused: []string{"runs already"}},
		"voter that forgot":         {cluster: func(s *api.ClusterStatus) { s.Replicas = listed("voter", false, "h") }, refused: []string{"has a vote", "cluster remove d", "add it again"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.log {
				if err := os.MkdirAll(filepath.Join(dir, "raft"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "raft", "wal"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s := &Server{log: zap.NewNop(), cfg: Config{
				ID: "d", Cluster: "convoy", Dir: dir, Advertise: "h:7070", named: true, Join: []string{"h:1"},
				Peers: []Peer{{ID: "d", Address: "h:7070", RaftAddress: "h:7071"}},
			}}
			cluster := &api.ClusterStatus{Cluster: "convoy", Uid: "this", ArithmeticVersion: job.ArithmeticVersion}
			if c.cluster != nil {
				c.cluster(cluster)
			}
			err := s.mayJoin(cluster, c.folder, nil)
			if c.refused != nil {
				wantError(t, err, c.refused...)
			} else if err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

// TestSameAddress: a process that was not told its address takes the listed one only
// if it listens there.
func TestSameAddress(t *testing.T) {
	on := func(address string) net.Listener {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	one, all := on("127.0.0.1:0"), on(":0")
	_, port, err := net.SplitHostPort(all.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		listed, own string
		given       bool
		l           net.Listener
		same        bool
	}{
		{"h:1", "h:1", true, one, true},
		{"h:1", "g:1", true, one, false},
		{one.Addr().String(), "g:1", false, one, true},
		{"127.0.0.1:1", "g:1", false, one, false},
		{"h:" + port, "g:" + port, false, all, true},
		{"h:1", "g:" + port, false, all, false},
	} {
		if got := sameAddress(c.listed, c.own, c.given, c.l); got != c.same {
			t.Errorf("listed %s, own %s (given: %v), listening on %s: the same is %v", c.listed, c.own, c.given, c.l.Addr(), got)
		}
	}
}

// TestFolderOfAnotherCoordinator: whoever starts with somebody else's data is told.
func TestFolderOfAnotherCoordinator(t *testing.T) {
	dir := t.TempDir()
	if err := ps.WriteIdentity(dir, ps.Identity{Replica: "a", Cluster: "convoy", UID: "one"}); err != nil {
		t.Fatal(err)
	}
	_, err := openFake(Config{ID: "b", Dir: dir, InProcess: true})
	wantError(t, err, dir, "belongs to coordinator a of cluster convoy", "give each its own folder")
}

// TestAChangeGoesToTheLeader changes the members through a replica that does not
// lead, removes the leader, and has leadership go to one that is named.
func TestAChangeGoesToTheLeader(t *testing.T) {
	c := startCluster(t, 3)
	members := func() (ids string) {
		for _, m := range c.fakes["r1"].Members() {
			ids += m.ID + " "
		}
		return ids
	}
	if _, err := c.jobs("r2").AddReplica(c.ctx(), &api.AddReplicaRequest{Id: "r4", Address: "h:1", RaftAddress: "h:2"}); err != nil || members() != "r1 r2 r3 r4 " {
		t.Errorf("after adding r4: %s, %v", members(), err)
	}
	if _, err := c.jobs("r2").RemoveReplica(c.ctx(), &api.RemoveReplicaRequest{Id: "r1"}); err != nil || members() != "r2 r3 r4 " {
		t.Errorf("after removing r1: %s, %v", members(), err)
	}
	led := c.group.leader
	if led == "r1" {
		t.Errorf("%s leads although it was removed", led)
	}
	for range 2 { // asked again it has been done
		if _, err := c.jobs("r3").TransferLeader(c.ctx(), &api.TransferLeaderRequest{Id: "r2", From: led}); err != nil || c.group.leader != "r2" {
			t.Errorf("r2 is to lead: %s does, %v", c.group.leader, err)
		}
	}
}
