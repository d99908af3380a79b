package main

import (
	"strings"
	"testing"

	"convoy/api"
	"convoy/job"
)

// A job is held against the workers that are there when it is submitted, or as
// many of them as it takes.
func TestUnsuitedWorkers(t *testing.T) {
	for _, c := range []struct {
		workers, most int
		want          string
	}{
		{0, 0, ""},
		{4, 0, ""},
		{5, 0, "8 micro-batches divide badly among 5 workers: the busiest computes 2, efficiency 0.80; use 4 workers, or another micro_batches, which is part of the recipe"},
		{6, 0, "efficiency 0.67"},
		{6, 4, ""},
	} {
		f := job.Default()
		f.Workers.Max = c.most
		got := strings.Join(unsuited(f, &api.ClusterStatus{Workers: make([]*api.WorkerStatus, c.workers)}), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%d workers, at most %d: %q, want %q", c.workers, c.most, got, c.want)
		}
	}
}

// A suspect job is an error, and its reason says what to do.
func TestSuspectJobsAreErrors(t *testing.T) {
	s := &api.JobStatus{Job: "lenet-k3v9qa", Phase: api.Phase_PHASE_SUSPECT, Reason: "suspect at step 7: test the machines"}
	if err := ending(s); err == nil || err.Error() != "job lenet-k3v9qa: suspect at step 7: test the machines" {
		t.Errorf("got %v", err)
	}
	if phaseName(s.Phase) != "suspect" {
		t.Errorf("the phase is called %s", phaseName(s.Phase))
	}
}
