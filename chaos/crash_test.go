package chaos

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"convoy/failpoint"
	"convoy/internal/binaries"
	"convoy/internal/clustertest"
	"convoy/local"
)

// smallJob has a last batch of 3 examples for 8 micro-batches, and checkpoints at
// steps that no epoch ends with.
const smallJob = "model: lenet-relu\ndata: {name: small, dir: .}\nepochs: 40\nbatch: 8\noptimizer: {lr: 0.05, momentum: 0.5}\ncheckpoint: {every: 100}\n"

// inOneProcess is the digest of the small job without a cluster.
var inOneProcess struct {
	sync.Once
	digest string
}

func wanted(t *testing.T) string {
	t.Helper()
	inOneProcess.Do(func() {
		c := clustertest.Start(t, clustertest.Config{Workers: 1})
		inOneProcess.digest = c.WaitDone(c.Submit(smallJob, clustertest.Small())).Digest
	})
	return inOneProcess.digest
}

// cluster is one of real processes, whose folder stays until the test ends.
func cluster(t *testing.T, replicas, workers int) local.Options {
	t.Helper()
	dir := binaries.Build(t)
	return local.Options{
		Replicas: replicas, Workers: workers, Dir: t.TempDir(),
		Coordinator: filepath.Join(dir, "coordinator"), Worker: filepath.Join(dir, "worker"),
	}
}

func deadline(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// crashes are the failpoints, each with how often it is passed before.
var crashes = map[failpoint.Point]int{
	failpoint.BeforePartial: 60, failpoint.AfterPartial: 60,
	failpoint.BeforePublish: 30, failpoint.AfterPublish: 30,
	failpoint.BeforeReceipt: 30, failpoint.AfterReceipt: 30,
	failpoint.BeforeApply: 30, failpoint.AfterApply: 30,
	failpoint.BeforeProposal: 5, failpoint.AfterProposal: 5,
	failpoint.BeforeCommit: 6, failpoint.AfterCommit: 6,
	failpoint.BeforeWrite: 1, failpoint.DuringWrite: 1, failpoint.BeforeRename: 1, failpoint.AfterRename: 1,
	failpoint.WorkerBeforePartial: 40, failpoint.WorkerAfterPartial: 40,
	failpoint.WorkerBeforeApply: 30, failpoint.WorkerAfterApply: 30,
}

// crash runs the small job with a failpoint in every coordinator, or in every
// worker: whoever comes to it dies there and is started again without it. Points
// that all come to at once so take the whole cluster's memory.
func crash(t *testing.T, p failpoint.Point) {
	want := wanted(t)
	o := Options{Cluster: cluster(t, 3, 2), File: []byte(smallJob), Data: clustertest.Small(), Notify: func(string) {}}
	armed := "r"
	if strings.HasPrefix(string(p), "worker") {
		armed = "w"
	}
	var mu sync.Mutex
	started := map[string]bool{}
	o.Cluster.Environment = func(name string) []string {
		mu.Lock()
		defer mu.Unlock()
		if started[name] || !strings.HasPrefix(name, armed) {
			return nil
		}
		started[name] = true
		return []string{fmt.Sprintf("%s=%s:%d", failpoint.Variable, p, crashes[p])}
	}
	m := newMischief(1)
	got, err := o.run(deadline(t, 3*time.Minute), m, func(ctx context.Context, c *local.Cluster, _ string) error {
		return raise(ctx, c, m.marks)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.status.GetDigest() != want {
		t.Errorf("digest %s, in one process %s", got.status.GetDigest(), want)
	}
	if n := lost(got.rows, got.status.GetSteps()); n > 0 {
		t.Errorf("%d steps are lost", n)
	}
	if dead := killed(t, o.Cluster.Dir, p); dead == 0 {
		t.Error("nobody came to the point")
	} else {
		t.Logf("%d died there, at digest %s", dead, got.status.GetDigest())
	}
}

// raise starts again whoever has died, until the job has ended.
func raise(ctx context.Context, c *local.Cluster, m *marks) error {
	all := append(c.Replicas(), c.Workers()...)
	for _, name := range all {
		if err := c.Expect(name); err != nil {
			return err
		}
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !m.ended() {
		for _, name := range all {
			if c.Running(name) {
				continue
			}
			if err := c.Restart(name); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// killed counts the processes whose log says that they died at the point.
func killed(t *testing.T, dir string, p failpoint.Point) int {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(text, fmt.Appendf(nil, "failpoint %s: killed", p))
	}
	return n
}

// TestCrashesAtPoints is a sample; `make faults` tries every point.
func TestCrashesAtPoints(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	for _, p := range []failpoint.Point{failpoint.BeforePublish, failpoint.AfterRename, failpoint.WorkerAfterPartial} {
		t.Run(string(p), func(t *testing.T) { crash(t, p) })
	}
}

// TestEveryPointIsTried keeps the table whole.
func TestEveryPointIsTried(t *testing.T) {
	for _, p := range append(failpoint.Coordinators[:len(failpoint.Coordinators):len(failpoint.Coordinators)], failpoint.Workers...) {
		if crashes[p] < 1 {
			t.Errorf("no test ends a process at %s", p)
		}
	}
}
