package coordinator

import (
	"context"
	"testing"

	"convoy/api"
)

// A coordinator of one process with its real replica: a job submitted before a
// restart is there after it, and the retry of its submission makes no second.
func TestJobsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	var first string
	for range 2 {
		s, err := Open(Config{Dir: dir, InProcess: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- s.Run(ctx) }()
		p := &peers{dial: s.Dial}
		conn, err := p.conn("any")
		if err != nil {
			t.Fatal(err)
		}
		jobs := api.NewJobsClient(conn)
		reply, err := jobs.Submit(ctx, &api.SubmitRequest{RequestId: "request-of-a-test-04", JobFile: []byte(digitsJob)})
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = reply.Job.Job
		}
		list, err := jobs.List(ctx, &api.ListRequest{})
		if err != nil || len(list.Jobs) != 1 || list.Jobs[0].Job != first || ended(list.Jobs[0]) {
			t.Errorf("%v, %v: want %s alone, waiting for workers", list, err, first)
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}
}
