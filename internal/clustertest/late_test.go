package clustertest

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/bus"
)

// stopped is a carrier that a worker hangs on while it is stopped, as the whole
// process does on SIGSTOP: what it would have sent goes out when it wakes.
type stopped struct {
	bus.Carrier
	gate sync.RWMutex
}

func (s *stopped) Publish(subject string, m bus.Message) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	return s.Carrier.Publish(subject, m)
}

// spoils is a carrier whose worker computes wrongly: a bit of its results is
// flipped before they are sent.
type spoils struct{ bus.Carrier }

func (s spoils) Publish(subject string, m bus.Message) error {
	if m.GetPartial() == nil {
		return s.Carrier.Publish(subject, m)
	}
	e, data := proto.CloneOf(m.Envelope), slices.Clone(m.Data)
	if len(data) > 0 {
		data[0] = math.Float32frombits(math.Float32bits(data[0]) ^ 1<<22)
	} else {
		e.GetPartial().LossSum++
	}
	return s.Carrier.Publish(subject, bus.New(e, data))
}

// TestAStoppedWorkerIsPassedOver stops a worker: the job goes on without it, takes
// it back when it wakes, and what the worker sends then changes nothing.
func TestAStoppedWorkerIsPassedOver(t *testing.T) {
	want := reference(t)
	var w1 *stopped
	c := Start(t, Config{Replicas: 3, Workers: 2, Wrap: func(id string, c bus.Carrier) bus.Carrier {
		if id != "w1" {
			return c
		}
		w1 = &stopped{Carrier: c}
		return w1
	}})
	job := c.Submit(faultJob(), Small())
	c.WaitStep(job, 10)
	w1.gate.Lock()
	c.eventually("plan without w1", func(ctx context.Context) bool { return c.blocks(ctx, "w1") == 0 && c.blocks(ctx, "w2") == 8 })
	c.WaitStep(job, int(c.status(job).Step)+3)
	w1.gate.Unlock()
	c.eventually("plan with w1, or the job's end", func(ctx context.Context) bool {
		return c.blocks(ctx, "w1") > 0 || c.status(job).Phase == api.Phase_PHASE_FINISHED
	})
	done := c.WaitDone(job)
	if done.Digest != want {
		t.Errorf("digest %s, want %s", done.Digest, want)
	}
	checkLedger(t, c.Rows(job), done)
}

// TestAWorkerThatComputesWrongly has every block audited: the worker whose results
// differ from two others' is quarantined, and the model is the true one.
func TestAWorkerThatComputesWrongly(t *testing.T) {
	want := reference(t)
	c := Start(t, Config{Replicas: 3, Workers: 4, Wrap: func(id string, c bus.Carrier) bus.Carrier {
		if id == "w2" {
			return spoils{c}
		}
		return c
	}})
	job := c.Submit(faultJob()+"audit: 1\n", Small())
	done := c.WaitDone(job)
	if done.Digest != want {
		t.Errorf("digest %s, want %s", done.Digest, want)
	}
	rows := c.Rows(job)
	checkLedger(t, rows, done)
	for _, r := range rows {
		if slices.Contains(r.Workers, "w2") || r.Audited == 0 {
			t.Fatalf("step %d was computed by %v, %d blocks audited", r.Step, r.Workers, r.Audited)
		}
	}
	var problems []string
	c.eventually("quarantine in the cluster's status", func(ctx context.Context) bool {
		s, err := c.client.Cluster(ctx)
		problems = nil
		for _, w := range s.GetWorkers() {
			if w.Problem != "" {
				problems = append(problems, w.Id+" "+w.Problem)
			}
		}
		return err == nil && len(problems) > 0
	})
	if len(problems) != 1 || !strings.HasPrefix(problems[0], "w2 quarantined: its sum of micro-batches ") {
		t.Errorf("the status shows %q", problems)
	}
}

// blocks is how many micro-batches the plan gives a worker.
func (c *Cluster) blocks(ctx context.Context, id string) int {
	s, err := c.client.Cluster(ctx)
	if err != nil {
		return -1
	}
	for _, w := range s.Workers {
		if w.Id == id {
			return int(w.High - w.Low)
		}
	}
	return 0
}

func (c *Cluster) status(job string) *api.JobStatus {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := c.client.Status(ctx, job)
	c.must(err, "status of %s", job)
	return s
}
