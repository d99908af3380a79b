package clustertest

import (
	"slices"
	"testing"

	"convoy/api"
)

// faultJob lasts long enough for a fault to strike in its middle; with -short,
// as under the race detector, a step takes longer and fewer will do.
func faultJob() string {
	if testing.Short() {
		return job(8, 3)
	}
	return job(12, 3)
}

// reference is the digest of faultJob without faults, in one process.
func reference(t *testing.T) string {
	t.Helper()
	c := Start(t, Config{Workers: 1})
	return c.WaitDone(c.Submit(faultJob(), Small())).Digest
}

// TestFaultsChangeNothing tells one story for each kind of fault: it strikes in
// the middle of a run on three replicas, and the run ends with the hash of the
// run without faults.
func TestFaultsChangeNothing(t *testing.T) {
	want := reference(t)
	stories := []struct {
		name  string
		fault func(c *Cluster)
	}{
		{"a worker is killed", func(c *Cluster) { c.KillWorker("w1") }},
		{"all workers are killed and others come", func(c *Cluster) {
			c.KillWorker("w1")
			c.KillWorker("w2")
			c.AddWorker()
		}},
		{"a worker leaves", func(c *Cluster) { c.StopWorker("w1") }},
		{"the leader leaves and comes back", func(c *Cluster) {
			id := c.Leader()
			c.StopReplica(id)
			c.Restart(id)
		}},
		{"a worker joins", func(c *Cluster) { c.AddWorker() }},
		{"a follower is killed", func(c *Cluster) { c.Kill(c.Follower()) }},
		{"a follower is killed and comes back", func(c *Cluster) {
			id := c.Follower()
			c.Kill(id)
			c.Restart(id)
		}},
		{"the leader is killed", func(c *Cluster) { c.Kill(c.Leader()) }},
		{"the leader is killed and comes back", func(c *Cluster) {
			id := c.Leader()
			c.Kill(id)
			c.Restart(id)
		}},
		{"NATS restarts", func(c *Cluster) {
			c.KillNATS()
			c.RestartNATS()
		}},
		{"all replicas are killed and come back", func(c *Cluster) {
			for _, id := range []string{"r1", "r2", "r3"} {
				c.Kill(id)
			}
			for _, id := range []string{"r1", "r2", "r3"} {
				c.Restart(id)
			}
		}},
	}
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			c := Start(t, Config{Replicas: 3, Workers: 2, ChunkFloats: 4096})
			job := c.Submit(faultJob(), Small())
			c.WaitStep(job, 20)
			s.fault(c)
			done := c.WaitDone(job)
			if done.Digest != want {
				t.Errorf("digest %s, want %s", done.Digest, want)
			}
			checkLedger(t, c.Rows(job), done)
		})
	}
}

// TestLedgerShowsWhoTookOver kills a worker: the ledger has it in steps before,
// and the other one alone in the steps after.
func TestLedgerShowsWhoTookOver(t *testing.T) {
	c := Start(t, Config{Replicas: 3, Workers: 2})
	job := c.Submit(faultJob(), Small())
	c.WaitStep(job, 20)
	c.KillWorker("w1")
	c.WaitDone(job)
	rows := c.Rows(job)
	if !slices.ContainsFunc(rows[:20], func(r *api.LedgerRow) bool { return slices.Contains(r.Workers, "w1") }) {
		t.Error("w1 is in no step before it was killed")
	}
	last := rows[len(rows)-1]
	if !slices.Equal(last.Workers, []string{"w2"}) {
		t.Errorf("the last step was computed by %v, want w2 alone", last.Workers)
	}
}

// checkLedger requires every step once, in order, with every micro-batch
// computed once.
func checkLedger(t testing.TB, rows []*api.LedgerRow, done *api.JobStatus) {
	t.Helper()
	if uint64(len(rows)) != done.Steps {
		t.Fatalf("the ledger has %d rows, want %d", len(rows), done.Steps)
	}
	for i, r := range rows {
		if r.Step != uint64(i) {
			t.Fatalf("row %d is of step %d", i, r.Step)
		}
		seen := make([]int, 8)
		for _, s := range r.Shares {
			for m := s.Low; m < s.High; m++ {
				seen[m]++
			}
		}
		for m, n := range seen {
			if n > 1 {
				t.Errorf("step %d: micro-batch %d counted %d times", i, m, n)
			}
		}
	}
}
