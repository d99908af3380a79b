package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"convoy/api"
	"convoy/internal/binaries"
	"convoy/local"
)

func TestMain(m *testing.M) {
	code := m.Run()
	err := errors.Join(goleak.Find(), binaries.Clean())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func TestPlace(t *testing.T) {
	plan, err := place(5, Kinds, 3, 400)
	if err != nil {
		t.Fatal(err)
	}
	struck := map[Kind]int{}
	for i, s := range plan {
		struck[s.kind]++
		if s.step < 1 || s.step+stepsOfFault > 400 || (i > 0 && s.step <= plan[i-1].step) {
			t.Errorf("fault %d falls at step %d, the one before at %d", i, s.step, plan[max(i-1, 0)].step)
		}
	}
	for _, k := range Kinds {
		if struck[k] != 3 {
			t.Errorf("%s strikes %d times", k, struck[k])
		}
	}
	if again, _ := place(5, Kinds, 3, 400); !reflect.DeepEqual(again, plan) {
		t.Error("the same seed gives another plan")
	}
	if other, _ := place(6, Kinds, 3, 400); reflect.DeepEqual(other, plan) {
		t.Error("another seed gives the same plan")
	}
}

func TestPlaceNeedsRoom(t *testing.T) {
	_, err := place(1, Kinds, 3, 75)
	if err == nil || !strings.Contains(err.Error(), "too short for 24 faults: give it at least 76") {
		t.Errorf("75 steps: %v", err)
	}
	if _, err := place(1, Kinds, 3, 76); err != nil {
		t.Errorf("76 steps, which it asks for: %v", err)
	}
}

func TestOptionsRefused(t *testing.T) {
	for want, o := range map[string]Options{
		"give at least 1": {},
		"use kill-leader": {Kinds: []Kind{KillReplica}, Cluster: local.Options{Replicas: 1, Workers: 1}},
	} {
		if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestMarks(t *testing.T) {
	m := newMarks()
	m.begin()
	from := time.Now()
	for _, step := range []uint64{0, 1, 1, 0, 3, 1 << 40} {
		m.published(step)
	}
	if m.done() != 4 {
		t.Errorf("%d steps are published, want 4", m.done())
	}
	ctx := context.Background()
	if err := m.wait(ctx, 4, time.Minute); err != nil {
		t.Error(err)
	}
	var stuck *stuckError
	if err := m.wait(ctx, 5, time.Millisecond); !errors.As(err, &stuck) || stuck.step != 4 {
		t.Errorf("a job without progress: %v", err)
	}
	if _, any := m.longest(from, 4, 3); any {
		t.Error("a wait for a step that never came")
	}
	m.at = []time.Time{from.Add(1), from.Add(9), from.Add(12), from.Add(40)}
	if d, _ := m.longest(from, 0, 3); d != 8 {
		t.Errorf("the longest wait is %v, want 8ns", d)
	}
	m.end()
	if err := m.wait(ctx, 5, time.Minute); !errors.Is(err, errOver) {
		t.Errorf("after the end: %v", err)
	}
}

func rows(steps ...uint64) []*api.LedgerRow {
	var list []*api.LedgerRow
	for _, s := range steps {
		list = append(list, &api.LedgerRow{Step: s, Chain: []byte{byte(s)}, Workers: []string{"w1"}, Shares: []*api.Share{{High: 8}}})
	}
	return list
}

func TestLost(t *testing.T) {
	for _, test := range []struct {
		rows []*api.LedgerRow
		want int
	}{{rows(0, 1, 2), 0}, {rows(0, 2), 1}, {rows(0, 1, 1, 2), 1}, {rows(0, 1, 2, 3), 1}, {nil, 3}} {
		if got := lost(test.rows, 3); got != test.want {
			t.Errorf("%v: %d lost, want %d", test.rows, got, test.want)
		}
	}
}

func TestFirstDifference(t *testing.T) {
	other := rows(0, 1, 2)
	other[1].Chain = []byte{9}
	for _, test := range []struct {
		rows []*api.LedgerRow
		want int
	}{{rows(0, 1, 2), -1}, {other, 1}, {rows(0, 1), 2}, {rows(0, 1, 2, 3), 3}} {
		got := -1
		if d := firstDifference(test.rows, rows(0, 1, 2)); d != nil {
			got = int(*d)
		}
		if got != test.want {
			t.Errorf("%v differs first at %d, want %d", test.rows, got, test.want)
		}
	}
}

func TestReassigned(t *testing.T) {
	list := rows(0, 1, 2, 3)
	list[1].Evaluation = true
	list[2].Shares = []*api.Share{{High: 4}, {Low: 4, High: 8}}
	if got := reassigned(list); got != 2 {
		t.Errorf("%d steps are shared out anew, want 2: there and back", got)
	}
}

// TestJudge finds everything that can be wrong.
func TestJudge(t *testing.T) {
	o := Options{Kinds: []Kind{KillLeader, Pause}, Times: 1, Cluster: local.Options{Replicas: 3, Workers: 2}}
	status := func(digest string) *api.JobStatus { return &api.JobStatus{Digest: digest, Steps: 3} }
	reference := outcome{status: status("a"), rows: rows(0, 1, 2), marks: newMarks()}
	for _, test := range []struct {
		name   string
		got    outcome
		faults []Kind
		want   string
	}{
		{"all is well", reference, []Kind{KillLeader, Pause}, ""},
		{"another digest", outcome{status: status("b"), rows: rows(0, 1, 2)}, []Kind{KillLeader, Pause}, "the digest"},
		{"a step lost", outcome{status: status("a"), rows: rows(0, 1)}, []Kind{KillLeader, Pause}, "1 of 3 steps"},
		{"a fault too few", reference, []Kind{Pause}, "too short for kill-leader (0 of 1): it has 3 steps, give it about 12"},
	} {
		r := newReport(o)
		r.reference(reference)
		for _, k := range test.faults {
			r.add(Event{Kind: k, RecoveryMS: 5})
		}
		r.judge(o, test.got, reference)
		text := strings.Join(r.Problems, "; ")
		if r.Passed != (test.want == "") || !strings.Contains(text, test.want) {
			t.Errorf("%s: passed %v, problems %q", test.name, r.Passed, text)
		}
	}
}

// TestChaos runs kinds of faults once, on real processes; `make faults` has them
// all.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	dir := binaries.Build(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	r, err := Run(ctx, Options{
		Cluster: local.Options{
			Replicas: 3, Workers: 3, Dir: "",
			Coordinator: filepath.Join(dir, "coordinator"), Worker: filepath.Join(dir, "worker"),
		},
		File:  []byte("model: lenet-relu\ndata: digits\nepochs: 1\nbatch: 500\n"),
		Kinds: []Kind{KillLeader, KillWorker, Partition, Corrupt}, Times: 1, Seed: 3, Notify: func(text string) { t.Log(text) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Passed {
		t.Errorf("failed: %q\n%+v", r.Problems, r.Timeline)
	}
}
