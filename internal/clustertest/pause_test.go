package clustertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"convoy/api"
)

// TestPausesChangeNothing: whatever happens while a job is paused, it ends with
// the hash of the run that nobody paused.
func TestPausesChangeNothing(t *testing.T) {
	want, other := reference(t), job(1, 7)
	for _, s := range []struct {
		name  string
		pause func(c *Cluster, job string) // pauses it and sees it rest
	}{
		{"nothing else happens", func(c *Cluster, job string) {
			c.Pause(job)
			c.WaitPaused(job)
		}},
		{"twice", func(c *Cluster, job string) {
			for range 2 {
				c.Pause(job)
				c.WaitPaused(job)
			}
			c.Resume(job)
			c.Pause(job)
			c.WaitPaused(job)
		}},
		{"it is resumed before it rests", func(c *Cluster, job string) {
			c.Pause(job)
			c.Resume(job)
			c.Pause(job)
			c.WaitPaused(job)
		}},
		{"the leader is killed while it is pausing", func(c *Cluster, job string) {
			leader := c.Leader()
			c.Pause(job)
			c.Kill(leader)
			c.WaitPaused(job)
			c.Restart(leader)
		}},
		{"all workers are replaced", func(c *Cluster, job string) {
			c.Pause(job)
			c.WaitPaused(job)
			c.StopWorker("w1")
			c.KillWorker("w2")
			c.AddWorker()
			c.AddWorker()
		}},
		{"all replicas are killed", func(c *Cluster, job string) {
			c.Pause(job)
			c.WaitPaused(job)
			for _, id := range []string{"r1", "r2", "r3"} {
				c.Kill(id)
			}
			for _, id := range []string{"r1", "r2", "r3"} {
				c.Restart(id)
			}
		}},
		{"another job runs", func(c *Cluster, job string) {
			c.Pause(job)
			c.WaitDone(c.Submit(other, Small()))
		}},
	} {
		t.Run(s.name, func(t *testing.T) {
			c := Start(t, Config{Replicas: 3, Workers: 2, ChunkFloats: 4096})
			job := c.Submit(faultJob(), Small())
			c.WaitStep(job, 20)
			s.pause(c, job)
			rests := c.Status(job)
			if rests.Phase != api.Phase_PHASE_PAUSED || rests.Committed < 20 || rests.Step != rests.Committed || rests.CheckpointStep != rests.Committed {
				t.Errorf("the job rests as %v at step %d, %d committed, with a checkpoint of step %d", rests.Phase, rests.Step, rests.Committed, rests.CheckpointStep)
			}
			if n := c.holders(job, rests.Committed); n < 2 {
				t.Errorf("%d of 3 replicas have the checkpoint of step %d", n, rests.Committed)
			}
			c.Resume(job)
			done := c.WaitDone(job)
			if done.Digest != want {
				t.Errorf("digest %s, want %s", done.Digest, want)
			}
			checkLedger(t, c.Rows(job), done)
		})
	}
}

// holders counts the replicas that have a job's checkpoint of a step on disk.
func (c *Cluster) holders(job string, step uint64) (n int) {
	for _, p := range c.peers {
		if _, err := os.Stat(filepath.Join(c.dir, p.ID, "jobs", job, "checkpoints", fmt.Sprintf("step-%09d.safetensors", step))); err == nil {
			n++
		}
	}
	return n
}

// TestQueueAroundPausedJobs: a resumed job waits for the one that runs, and says
// so; a paused one can be cancelled, and keeps what it has done.
func TestQueueAroundPausedJobs(t *testing.T) {
	c := Start(t, Config{Replicas: 3, Workers: 2})
	first, second, third := c.Submit(job(1000, 1), Small()), c.Submit(job(1000, 2), Small()), c.Submit(job(1, 3), Small())
	c.WaitStep(first, 5)
	if s := c.Pause(third); s.Phase != api.Phase_PHASE_PAUSED || s.Step != 0 {
		t.Errorf("a job that has not begun is %v at step %d, want it paused at once", s.Phase, s.Step)
	}
	c.Pause(first)
	rests := c.WaitPaused(first)
	c.WaitStep(second, 5)
	s := c.Resume(first)
	if s.Phase != api.Phase_PHASE_QUEUED || !strings.Contains(s.Reason, second) || s.Step != rests.Step {
		t.Errorf("resumed while %s runs: %v at step %d, %q; want it queued at step %d", second, s.Phase, s.Step, s.Reason, rests.Step)
	}
	c.Cancel(second)
	c.WaitStep(first, int(rests.Step)+5)
	c.Pause(first)
	rests = c.WaitPaused(first)
	c.Cancel(first)
	if s := c.Status(first); s.Phase != api.Phase_PHASE_CANCELLED || s.Committed != rests.Committed {
		t.Errorf("cancelled while paused: %v with %d steps, want %d", s.Phase, s.Committed, rests.Committed)
	}
	if rows := c.Rows(first); uint64(len(rows)) != rests.Committed {
		t.Errorf("the ledger of the cancelled job has %d rows, want %d", len(rows), rests.Committed)
	}
	c.Resume(third)
	if got, want := c.WaitDone(third).Digest, hashOf(t, Config{Workers: 1}, job(1, 3)); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	for _, decide := range []func(context.Context, string) (*api.JobStatus, error){c.client.Pause, c.client.Resume} {
		if _, err := decide(t.Context(), third); err == nil || !strings.Contains(err.Error(), "has ended") {
			t.Errorf("a decision on a finished job: %v, want that it has ended", err)
		}
	}
}

// TestJobWaitsForItsWorkers: a job that wants three workers says how many it
// waits for, starts with the third, and goes on with those that are left.
func TestJobWaitsForItsWorkers(t *testing.T) {
	c := Start(t, Config{Replicas: 3, Workers: 1})
	job := c.Submit(faultJob()+"workers: {min: 3, max: 3}\n", Small())
	for _, ready := range []int{1, 2} {
		s := c.WaitFor(job, func(s *api.JobStatus) bool {
			return s.Reason == fmt.Sprintf("waiting for workers: %d of 3 are ready", ready)
		})
		if s.Step != 0 || s.Workers != 0 {
			t.Errorf("with %d workers of 3 it is at step %d, with %d in the plan", ready, s.Step, s.Workers)
		}
		c.AddWorker()
	}
	c.WaitStep(job, 10)
	if s := c.Status(job); s.Workers != 3 {
		t.Errorf("%d workers are in the plan, want 3", s.Workers)
	}
	c.KillWorker("w1")
	c.StopWorker("w3")
	c.Kill(c.Leader()) // the next one does not wait for three either
	if got, want := c.WaitDone(job).Digest, reference(t); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}
