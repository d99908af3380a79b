package clustertest

import (
	"context"

	"convoy/api"
)

// Pause has a job come to rest.
func (c *Cluster) Pause(job string) *api.JobStatus {
	c.t.Helper()
	return c.decide(job, "pause", c.client.Pause)
}

// Resume lets a paused job go on.
func (c *Cluster) Resume(job string) *api.JobStatus {
	c.t.Helper()
	return c.decide(job, "resume", c.client.Resume)
}

// Status is how a job is.
func (c *Cluster) Status(job string) *api.JobStatus {
	c.t.Helper()
	return c.decide(job, "look at", c.client.Status)
}

// Cancel cancels a job.
func (c *Cluster) Cancel(job string) {
	c.t.Helper()
	c.decide(job, "cancel", c.client.Cancel)
}

func (c *Cluster) decide(job, what string, call func(context.Context, string) (*api.JobStatus, error)) *api.JobStatus {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := call(ctx, job)
	c.must(err, "%s job %s", what, job)
	return s
}

// WaitFor waits until a job's status is as it should be; it must not have ended
// before.
func (c *Cluster) WaitFor(job string, enough func(*api.JobStatus) bool) *api.JobStatus {
	c.t.Helper()
	s := c.watch(job, enough)
	if !enough(s) {
		c.t.Fatalf("job %s ended as %v at step %d: %s", job, s.Phase, s.Step, s.Reason)
	}
	return s
}

// WaitPaused waits until a job rests.
func (c *Cluster) WaitPaused(job string) *api.JobStatus {
	c.t.Helper()
	return c.WaitFor(job, func(s *api.JobStatus) bool { return s.Phase == api.Phase_PHASE_PAUSED })
}
