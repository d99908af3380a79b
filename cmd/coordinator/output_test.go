package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"convoy/api"
)

func TestStatusJSON(t *testing.T) {
	var out bytes.Buffer
	s := withAccuracy(trainingStatus(48, 0.5), 0.75)
	s.Recipe, s.TestLoss, s.StartedUnixNanos = `{"model":"lenet"}`, 0.6, 1_500_000_000
	s.Committed = 1<<53 + 1 // a plain number, whatever its size
	if err := writeJSON(&out, statusOf(s)); err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(out.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"phase": `"running"`, "step": "48", "train_loss": "0.5", "test_accuracy": "0.75", "test_loss": "0.6", "test_top5": "0.875", "committed": "9007199254740993",
		"workers_used": "{}", "started": `"1970-01-01T00:00:01.5Z"`,
	} {
		if got := string(fields[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if got := fields["recipe"]; !json.Valid(got) || got[0] != '{' {
		t.Errorf("recipe is %s, want an object", got)
	}
	out.Reset()
	if err := writeJSON(&out, statusOf(&api.JobStatus{})); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &fields); err != nil || string(fields["train_loss"]) != "null" || string(fields["test_accuracy"]) != "null" || string(fields["test_top5"]) != "null" {
		t.Errorf("what does not exist yet is %s and %s, want null", fields["train_loss"], fields["test_accuracy"])
	}
}

func TestTables(t *testing.T) {
	var out bytes.Buffer
	row := &api.LedgerRow{
		Step: 46, Evaluation: true, Epoch: 1, LossSum: 5, Examples: 10, Chain: bytes.Repeat([]byte{0xab}, 32),
		Workers: []string{"w1", "w2"}, Shares: []*api.Share{{Worker: 0, Low: 0, High: 4}, {Worker: 1, Low: 4, High: 8}, {Worker: 2, Low: 0, High: 1}}, Audited: 1,
	}
	rows := func(yield func(*api.LedgerRow, error) bool) { yield(row, nil) }
	if err := printLedger(&out, timed(rows, 0, steps{0, -1})); err != nil {
		t.Fatal(err)
	}
	want := "STEP     EPOCH  LOSS    EXAMPLES  CHAIN         STATE  SECONDS  TOOK  WORKERS\n" +
		"46 test  1      0.5000  10        abababababab  -      0.000    -     w1 0-3, w2 4-7, ? 0-0, 1 audited\n"
	if out.String() != want {
		t.Errorf("ledger\n%swant\n%s", out.String(), want)
	}
	out.Reset()
	five := 0.99
	if err := printHistory(&out, []epochJSON{{1, 0.05, 1.25, 0.5, 1, 0.625, &five, 2.25}, {2, 1e-6, 0.25, 0.875, 0.5, 0.75, nil, 60}}); err != nil {
		t.Fatal(err)
	}
	want = "EPOCH  LR     TRAIN LOSS  TRAIN ACCURACY  TEST LOSS  TOP-1    TOP-5    SECONDS\n" +
		"1      0.05   1.2500      50.00 %         1.0000     62.50 %  99.00 %  2.2\n" +
		"2      1e-06  0.2500      87.50 %         0.5000     75.00 %  -        60.0\n"
	if out.String() != want {
		t.Errorf("history\n%swant\n%s", out.String(), want)
	}
	out.Reset()
	cluster := &api.ClusterStatus{
		Cluster: "convoy", Leader: "a", Term: 3,
		Replicas: []*api.ReplicaStatus{{Id: "a", Address: "h:1", RaftAddress: "h:2", Stage: "voter", Reachable: true, Job: "j", Step: 7}},
	}
	if err := printCluster(&out, cluster); err != nil {
		t.Fatal(err)
	}
	want = "cluster convoy, leader a, term 3\n\n" +
		"COORDINATOR  ADDRESS  RAFT  STAGE  REACHABLE  NATS  JOB  STATE  PROBLEM\n" +
		"a            h:1      h:2   voter  yes        no    j    7      -\n" +
		"\nno workers: start some with `worker`\n"
	if out.String() != want {
		t.Errorf("cluster\n%swant\n%s", out.String(), want)
	}
}

// TestTimed: rows know when they went out, as far as that is recorded, and how long
// after the one before.
func TestTimed(t *testing.T) {
	row := func(step uint64, at int64, ago uint32) *api.LedgerRow {
		return &api.LedgerRow{Step: step, UnixNanos: at * 1e6, PublishedUs: 1000 * ago}
	}
	all := []*api.LedgerRow{row(0, 1100, 50), row(1, 1100, 20), row(2, 1350, 200), row(3, 1350, 0), row(4, 1500, 0)}
	for name, c := range map[string]struct {
		from   int // the first of the rows at hand
		start  int64
		wanted steps
		want   string
	}{
		"a job":            {0, 1000, steps{0, -1}, "0 0.05 took 0.05, 1 0.08 took 0.03, 2 0.15 took 0.07, 3 0.35 took 0.2, 4 0.5 took 0.15"},
		"a folder":         {0, 0, steps{0, -1}, "0 0 took 0, 1 0.03 took 0.03, 2 0.1 took 0.07, 3 0.3 took 0.2, 4 0.45 took 0.15"},
		"some":             {1, 1000, steps{2, 4}, "2 0.15 took 0.07, 3 0.35 took 0.2"},
		"the first":        {3, 1000, steps{3, 4}, "3 0.35"},
		"of a folder":      {0, 0, steps{4, 9}, "4 0.45 took 0.15"},
		"beyond the steps": {4, 1000, steps{5, -1}, ""},
	} {
		rows := func(yield func(*api.LedgerRow, error) bool) {
			for _, r := range all[c.from:] {
				if !yield(r, nil) {
					return
				}
			}
		}
		var got []string
		for r, err := range timed(rows, c.start*1e6, c.wanted) {
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(r.GetStep(), " ", r.since)
			if r.took != nil {
				text += fmt.Sprint(" took ", *r.took)
			}
			got = append(got, text)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", name, strings.Join(got, ", "), c.want)
		}
	}
}

func TestSteps(t *testing.T) {
	for text, want := range map[string]steps{"3:7": {3, 7}, ":7": {0, 7}, "3:": {3, -1}, ":": {0, -1}, "3": {3, 4}} {
		var s steps
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%q: %v, %v, want %v", text, s, err, want)
		}
	}
	for _, text := range []string{"", "x", "3:3", "7:3", "-1:3", "3:x", "3:4:5", "99999999999999"} {
		if err := new(steps).Set(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
