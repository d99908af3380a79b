package local

import (
	"slices"
	"strings"
	"testing"

	"convoy/api"
	"convoy/client"
)

// TestStoppedLeaderShowsNothingOld stops the leader, has another one cancel a
// job, and lets the old one go on with the questions that were waiting for it: it
// does not know yet that it was deposed, and still must not answer that the job
// goes on.
func TestStoppedLeaderShowsNothingOld(t *testing.T) {
	s := start(t, Options{Replicas: 3})
	for range 3 {
		id := s.submit()
		old := s.leader()
		asked := s.dialReplica(old)
		if _, err := asked.Status(s.ctx, id); err != nil { // and so there is a connection
			t.Fatal(err)
		}
		s.must(s.Stop(old))
		answers := make(chan *api.JobStatus)
		const questions = 16
		for range questions {
			go func() {
				answer, err := asked.Status(s.ctx, id)
				if err != nil {
					t.Error(err)
				}
				answers <- answer
			}()
		}
		if _, err := s.dialReplica(s.leaderOtherThan(old)).Cancel(s.ctx, id); err != nil {
			t.Fatal(err)
		}
		s.must(s.Cont(old))
		for range questions {
			if a := <-answers; a.GetPhase() != api.Phase_PHASE_CANCELLED {
				t.Errorf("%s woke up and shows the cancelled job as %v", old, a.GetPhase())
			}
		}
		s.must(s.WaitReady(s.ctx))
	}
}

// dialReplica makes a client of one replica alone.
func (s *story) dialReplica(id string) *client.Client {
	s.t.Helper()
	address := strings.Split(s.Addresses(), ",")[slices.Index(s.Replicas(), id)]
	c, err := client.Dial(address, client.Options{Timeout: patience})
	s.must(err)
	s.t.Cleanup(func() { s.must(c.Close()) })
	return c
}
