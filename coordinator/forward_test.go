package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"convoy/api"
)

func TestFollowerPassesCallsOn(t *testing.T) {
	c := startCluster(t, 2)
	c.group.lead("r2")
	for _, id := range []string{"r1", "r2"} {
		reply, err := c.jobs(id).Cluster(c.ctx(), &api.ClusterRequest{})
		if err != nil || reply.Cluster != "answered by r2" {
			t.Errorf("%s: %v, %v; want an answer by r2", id, reply, err)
		}
	}
	job := c.submit("r1")
	list, err := c.jobs("r1").List(c.ctx(), &api.ListRequest{})
	if err != nil || len(list.Jobs) != 1 || list.Jobs[0].Job != job {
		t.Errorf("list through a follower: %v, %v", list, err)
	}
	_, err = c.jobs("r1").Status(c.ctx(), &api.JobRequest{Job: "no-such"})
	wantCode(t, err, codes.NotFound)
	j, err := c.jobs("r1").Cancel(c.ctx(), &api.JobRequest{Job: job})
	if err != nil || j.Phase != api.Phase_PHASE_CANCELLED {
		t.Errorf("cancel through a follower: %v, %v", j, err)
	}
}

// TestDeposedLeaderAnswersNothing: a leader that does not know yet that another
// one was elected has nobody's word for it, and neither decides nor shows what
// may be outdated; once it knows, the call goes on at the new leader.
func TestDeposedLeaderAnswersNothing(t *testing.T) {
	c := startCluster(t, 2)
	job := c.submit("r1")
	other, err := c.jobs("r1").Submit(c.ctx(), &api.SubmitRequest{RequestId: "request-of-a-test-02", JobFile: []byte(digitsJob)})
	if err != nil {
		t.Fatal(err)
	}
	c.group.update(func() { c.fakes["r1"].deposed = true })
	answered := make(chan error)
	calls := []func(api.JobsClient) error{
		func(j api.JobsClient) error { _, err := j.Status(c.ctx(), &api.JobRequest{Job: job}); return err },
		func(j api.JobsClient) error { _, err := j.List(c.ctx(), &api.ListRequest{}); return err },
		func(j api.JobsClient) error { _, err := j.Pause(c.ctx(), &api.TurnRequest{Job: job}); return err },
		func(j api.JobsClient) error { _, err := j.Resume(c.ctx(), &api.TurnRequest{Job: job}); return err },
		func(j api.JobsClient) error {
			_, err := j.Cancel(c.ctx(), &api.JobRequest{Job: other.Job.Job})
			return err
		},
		func(j api.JobsClient) error {
			_, err := j.Submit(c.ctx(), &api.SubmitRequest{RequestId: "request-of-a-test-03", JobFile: []byte(digitsJob)})
			return err
		},
	}
	for i, call := range calls {
		asked := c.jobs([]string{"r1", "r2"}[i%2])
		go func() { answered <- call(asked) }()
	}
	select {
	case err := <-answered:
		t.Fatalf("answered by a deposed leader: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	c.group.lead("r2")
	for range calls {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
}

func TestCallWaitsForALeader(t *testing.T) {
	c := startCluster(t, 2)
	c.group.lead("")
	answered := make(chan error, 1)
	go func() {
		_, err := c.jobs("r1").List(c.ctx(), &api.ListRequest{})
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("answered without a leader: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	c.group.lead("r2")
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestNoLeader(t *testing.T) {
	c := startClusterWaiting(t, 2, 50*time.Millisecond)
	c.group.lead("")
	_, err := c.jobs("r1").List(c.ctx(), &api.ListRequest{})
	wantCode(t, err, codes.Unavailable)
	if text := status.Convert(err).Message(); !strings.Contains(text, "replica r1 has known no leader") || !strings.Contains(text, "start those") {
		t.Errorf("error %q: want who was asked and what to do", text)
	}
	reply, err := c.jobs("r1").Cluster(c.ctx(), &api.ClusterRequest{})
	if err != nil || reply.Cluster != "answered by r1" {
		t.Errorf("cluster status without a leader: %v, %v; want r1's own", reply, err)
	}
}

// A caller with less patience than the replica still gets the reason.
func TestNoLeaderBeforeTheDeadline(t *testing.T) {
	c := startCluster(t, 2)
	c.group.lead("")
	ctx, cancel := context.WithTimeout(c.ctx(), testLeaderWait/4)
	defer cancel()
	_, err := c.jobs("r1").List(ctx, &api.ListRequest{})
	wantCode(t, err, codes.Unavailable)
}

func TestLeaderOutOfReach(t *testing.T) {
	c := startClusterWaiting(t, 2, 100*time.Millisecond)
	c.group.lead("r2")
	c.stops["r2"]()
	_, err := c.jobs("r1").List(c.ctx(), &api.ListRequest{})
	wantCode(t, err, codes.Unavailable)
	if text := status.Convert(err).Message(); !strings.Contains(text, "replica r1 could not reach the leader r2") {
		t.Errorf("error %q: want both replicas named", text)
	}
}

// Two replicas each of which takes the other for the leader must not pass a
// call back and forth.
func TestCallsDoNotGoInCircles(t *testing.T) {
	c := startClusterWaiting(t, 2, 100*time.Millisecond)
	c.group.update(func() { c.fakes["r1"].believes, c.fakes["r2"].believes = "r2", "r1" })
	_, err := c.jobs("r1").List(c.ctx(), &api.ListRequest{})
	wantCode(t, err, codes.Unavailable)

	ctx := metadata.AppendToOutgoingContext(c.ctx(), hopKey, "1")
	_, err = c.jobs("r1").List(ctx, &api.ListRequest{})
	wantCode(t, err, codes.Unavailable)
	if text := status.Convert(err).Message(); !strings.Contains(text, "replica r1 does not lead") {
		t.Errorf("error %q: want that a call is passed on once at most", text)
	}
}

// A Watch goes on at each new leader and ends with the job, whether the replica
// that was asked follows, leads, or did lead.
func TestWatchAcrossLeaders(t *testing.T) {
	for _, asked := range []string{"r2", "r3"} {
		t.Run(asked, func(t *testing.T) {
			c := startCluster(t, 3)
			job := c.submit(asked)
			stream, err := c.jobs(asked).Watch(c.ctx(), &api.JobRequest{Job: job})
			if err != nil {
				t.Fatal(err)
			}
			recv := func(step uint64) *api.JobStatus {
				t.Helper()
				for {
					j, err := stream.Recv()
					if err != nil {
						t.Fatalf("before step %d: %v", step, err)
					}
					if j.Step == step {
						return j
					}
				}
			}
			recv(0)
			c.group.lead("")
			c.stops["r1"]()
			c.group.lead("r2")
			c.group.set(job, func(j *api.JobStatus) { j.Step = 1 })
			recv(1)
			c.group.lead("r3")
			c.group.set(job, func(j *api.JobStatus) { j.Step = 2 })
			recv(2)
			c.group.set(job, func(j *api.JobStatus) { j.Step, j.Phase = 3, api.Phase_PHASE_FINISHED })
			if j := recv(3); j.Phase != api.Phase_PHASE_FINISHED {
				t.Errorf("last status %v, want it finished", j)
			}
			if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
				t.Errorf("after the end: %v, want EOF", err)
			}
		})
	}
}

func TestWatchIsPaced(t *testing.T) {
	c := startCluster(t, 1)
	job := c.submit("r1")
	stream, err := c.jobs("r1").Watch(c.ctx(), &api.JobRequest{Job: job})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for step := range uint64(500) {
		c.group.set(job, func(j *api.JobStatus) { j.Step = step })
	}
	c.group.set(job, func(j *api.JobStatus) { j.Phase = api.Phase_PHASE_FAILED })
	n := 0
	for ; ; n++ {
		if _, err := stream.Recv(); err != nil {
			break
		}
	}
	if most := 2 + int(time.Since(begin)/watchPause); n > most {
		t.Errorf("%d statuses in %v, want at most %d", n, time.Since(begin), most)
	}
}

// The rows that the client has are not sent again by the next leader.
func TestRowsGoOnAtTheNextLeader(t *testing.T) {
	c := startCluster(t, 3)
	job := c.submit("r1")
	gone := make(chan struct{})
	defer close(gone)
	c.fakes["r1"].rows = func(uint64) iter.Seq2[*api.LedgerRow, error] {
		return func(yield func(*api.LedgerRow, error) bool) {
			for row, err := range steps(4, 5, 6) {
				yield(row, err)
			}
			<-gone
		}
	}
	c.fakes["r2"].rows = func(from uint64) iter.Seq2[*api.LedgerRow, error] {
		return steps(from-1, from, from+1) // one too many must not reach the client
	}
	stream, err := c.jobs("r3").Rows(c.ctx(), &api.RowsRequest{Job: job, From: 4})
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for {
		row, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, row.Step); len(got) == 3 {
			c.group.lead("r2")
		}
	}
	if fmt.Sprint(got) != "[4 5 6 7 8]" {
		t.Errorf("rows %v, want 4 to 8, each once", got)
	}
}

func TestNotesDropWhatTheClientHas(t *testing.T) {
	n := notesFor(&api.LogsRequest{})
	line := func(replica string, nanos int64) *api.LogLine {
		return &api.LogLine{Replica: replica, UnixNanos: nanos}
	}
	for _, l := range []*api.LogLine{line("r1", 5), line("r1", 5), line("r2", 9)} {
		if !n.take(l) {
			t.Errorf("%v is dropped before the leader moved", l)
		}
	}
	if !n.again() {
		t.Fatal("logs cannot go on")
	}
	for _, c := range []struct {
		line *api.LogLine
		want bool
	}{{line("r1", 5), false}, {line("r1", 6), true}, {line("r2", 9), false}, {line("r3", 1), true}} {
		if got := n.take(c.line); got != c.want {
			t.Errorf("%v is taken: %t, want %t", c.line, got, c.want)
		}
	}
}

func TestModelIsNotResumed(t *testing.T) {
	n := notesFor(&api.JobRequest{})
	if !n.again() {
		t.Error("a call that sent nothing cannot go on")
	}
	n.take(&api.Piece{})
	if n.again() {
		t.Error("a file is taken up in the middle")
	}
}
