package client

import (
	"context"
	"testing"
	"time"

	"convoy/api"
)

// Cluster tells who else there is.
func (f *fake) Cluster(context.Context, *api.ClusterRequest) (*api.ClusterStatus, error) {
	s := &api.ClusterStatus{Leader: "a"}
	for _, address := range f.members {
		s.Replicas = append(s.Replicas, &api.ReplicaStatus{Address: address})
	}
	return s, nil
}

func (f *fake) TransferLeader(ctx context.Context, req *api.TransferLeaderRequest) (*api.ClusterStatus, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	return &api.ClusterStatus{Leader: req.Id + " instead of " + req.From}, nil
}

// TestReplicasAddedLaterAreFound: a client that was given one replica learns of a
// second, goes on with that alone, and forgets it when it is a member no more.
func TestReplicasAddedLaterAreFound(t *testing.T) {
	first, second := &fake{}, &fake{}
	c := dialFakes(t, 5*time.Second, first, second)
	known := c.replicas()
	c.named = c.named[:1]
	if err := c.use(c.named); err != nil {
		t.Fatal(err)
	}
	if got := len(c.Connections()); got != 1 {
		t.Fatalf("%d connections, want the one that was given", got)
	}
	first.members = []string{"", known[0].address, known[1].address}
	if _, err := c.Cluster(t.Context()); err != nil || len(c.Connections()) != 2 {
		t.Fatalf("after asking how the cluster is there are %d connections, want 2; %v", len(c.Connections()), err)
	}
	first.mu.Lock()
	first.refusals = 1 << 30
	first.mu.Unlock()
	if s, err := c.Submit(t.Context(), Submission{RequestID: "later"}); err != nil || s.GetJob() != "job-0" || second.calls != 1 {
		t.Errorf("Submit = %v, %v with %d calls of the replica that was added", s, err, second.calls)
	}
	c.learn([]*api.Member{{Address: known[0].address}})
	if got := len(c.Connections()); got != 1 {
		t.Errorf("%d connections after the second replica was removed, want 1", got)
	}
}

// TestTransferIsAskedOnce: a call that is repeated names who led before, so that it
// does not move leadership twice.
func TestTransferIsAskedOnce(t *testing.T) {
	f := &fake{refusals: 2}
	c := dialFakes(t, 5*time.Second, f)
	if s, err := c.TransferLeader(t.Context(), "b"); err != nil || s.GetLeader() != "b instead of a" {
		t.Errorf("TransferLeader = %v, %v", s, err)
	}
}
