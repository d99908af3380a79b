package clustertest

import (
	"bytes"
	"testing"

	"convoy/api"
)

// TestMembersChangeNothing replaces, adds, removes and restarts replicas in the
// middle of a run. It goes on, and its record is that of a run without, as far as
// it got until the story was told.
func TestMembersChangeNothing(t *testing.T) {
	long := job(1000, 3)
	records := map[string][]*api.LedgerRow{}
	stories := []struct {
		name  string
		story func(c *Cluster, job string)
	}{
		{"a replica is added", func(c *Cluster, _ string) { c.WaitVoter(c.AddReplica()) }},
		{"a follower is replaced", func(c *Cluster, _ string) {
			c.WaitVoter(c.AddReplica())
			c.RemoveReplica(c.Follower())
		}},
		{"the leader is removed", func(c *Cluster, _ string) { c.RemoveReplica(c.Leader()) }},
		{"a dead replica is replaced", func(c *Cluster, _ string) {
			dead := c.Follower()
			c.Kill(dead)
			c.RemoveReplica(dead)
			c.WaitVoter(c.AddReplica())
		}},
		{"leadership goes round", func(c *Cluster, job string) {
			for _, id := range []string{"r1", "r2", "r3", ""} {
				if led := c.TransferLeader(id); id != "" && led != id {
					c.t.Errorf("%s leads, want %s", led, id)
				}
				c.WaitMore(job)
			}
		}},
		{"the leader alone loses NATS, and gets it back", func(c *Cluster, job string) {
			id := c.Leader()
			c.CutNATS(id)
			c.WaitLeaderBut(id)
			c.WaitMore(job)
			c.MendNATS(id)
			c.WaitMore(job)
		}},
		{"all replicas restart, one after the other", func(c *Cluster, job string) {
			for _, id := range []string{"r1", "r2", "r3"} {
				c.StopReplica(id)
				c.Restart(id)
				c.WaitLevel(id, job)
				c.WaitMore(job)
			}
		}},
		{"all replicas crash, one after the other", func(c *Cluster, job string) {
			for _, id := range []string{"r1", "r2", "r3"} {
				c.Kill(id)
				c.Restart(id)
				c.WaitLevel(id, job)
				c.WaitMore(job)
			}
		}},
		{"all replicas are replaced by others", func(c *Cluster, _ string) {
			for _, id := range []string{"r1", "r2", "r3"} {
				c.WaitVoter(c.AddReplica())
				c.RemoveReplica(id)
			}
		}},
	}
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			c := Start(t, Config{Replicas: 3, Workers: 2, Links: true, ChunkFloats: 4096})
			job := c.Submit(long, Small())
			c.WaitStep(job, 20)
			s.story(c, job)
			records[s.name] = c.record(job, int(c.Status(job).Committed)+20)
		})
	}
	most := 0
	for _, rows := range records {
		most = max(most, len(rows))
	}
	alone := Start(t, Config{Workers: 1})
	want := alone.record(alone.Submit(long, Small()), most)
	for name, rows := range records {
		for i, r := range rows {
			if !bytes.Equal(r.Chain, want[i].Chain) || !bytes.Equal(r.StateDigest, want[i].StateDigest) {
				t.Errorf("%s: step %d has chain %x and state %x, want %x and %x", name, i, r.Chain, r.StateDigest, want[i].Chain, want[i].StateDigest)
				break
			}
		}
	}
}

// WaitMore waits until a job has gone on by ten steps from where it is.
func (c *Cluster) WaitMore(job string) {
	c.t.Helper()
	c.WaitStep(job, int(c.Status(job).Step)+10)
}

// record lets a job commit n steps, cancels it, and returns its ledger.
func (c *Cluster) record(job string, n int) []*api.LedgerRow {
	c.t.Helper()
	c.watch(job, func(s *api.JobStatus) bool { return s.Committed >= uint64(n) })
	c.Cancel(job)
	done := c.WaitEnd(job)
	rows := c.Rows(job)
	if done.Phase != api.Phase_PHASE_CANCELLED || len(rows) < n {
		c.t.Fatalf("job %s ended as %v with %d rows, want it cancelled after at least %d", job, done.Phase, len(rows), n)
	}
	checkLedger(c.t, rows, &api.JobStatus{Steps: uint64(len(rows))})
	return rows
}
