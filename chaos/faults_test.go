//go:build faults

package chaos

import (
	"context"
	"fmt"
	"testing"
	"time"

	"convoy/failpoint"
	"convoy/internal/clustertest"
	"convoy/local"
)

// The tests of this file are `make faults`: they take minutes.

// TestFaultsTable runs the small job with so many workers and so many faults: one
// digest, and no step lost.
func TestFaultsTable(t *testing.T) {
	want := wanted(t)
	for _, workers := range []int{1, 2, 3, 5, 8} {
		for _, faults := range []int{0, 1, 10} {
			t.Run(fmt.Sprintf("%d workers %d faults", workers, faults), func(t *testing.T) {
				table(t, workers, faults, want)
			})
		}
	}
}

func table(t *testing.T, workers, faults int, want string) {
	o := Options{
		Cluster: cluster(t, 3, workers), File: []byte(smallJob), Data: clustertest.Small(),
		Notify: func(text string) { t.Log(text) }, Seed: uint64(100*workers + faults),
	}
	var kinds []Kind
	for i := range faults {
		kinds = append(kinds, Kinds[(workers+3*i)%len(Kinds)])
	}
	r := newReport(o)
	m := newMischief(o.Seed)
	got, err := o.run(deadline(t, 5*time.Minute), m, func(ctx context.Context, c *local.Cluster, job string) error {
		if faults == 0 {
			return nil
		}
		s, err := c.Client().Status(ctx, job)
		if err != nil {
			return err
		}
		plan, err := place(o.Seed, kinds, 1, int(s.GetSteps()))
		if err != nil {
			return err
		}
		h := &hand{ctx: ctx, cluster: c, job: job, mischief: m, marks: m.marks, replicas: 3, notify: o.Notify, report: &r}
		return h.play(plan)
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
	if len(r.Timeline) != faults {
		t.Errorf("%d faults struck, want %d", len(r.Timeline), faults)
	}
	moved := reassigned(got.rows)
	if workers > 1 && faults == 10 && moved == 0 {
		t.Error("the ledger shows no block that was given to another worker")
	}
	t.Logf("%d steps in %.1f s, %d shared out anew, digest %s", got.status.GetSteps(), seconds(got.status), moved, got.status.GetDigest())
}

// TestEveryCrash ends processes at each failpoint in turn.
func TestEveryCrash(t *testing.T) {
	for _, points := range [][]failpoint.Point{failpoint.Coordinators, failpoint.Workers} {
		for _, p := range points {
			t.Run(string(p), func(t *testing.T) { crash(t, p) })
		}
	}
}
