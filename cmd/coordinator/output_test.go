package main

import (
	"bytes"
	"encoding/json"
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
		Workers: []string{"w1", "w2"}, Shares: []*api.Share{{Worker: 0, Low: 0, High: 4}, {Worker: 1, Low: 4, High: 8}, {Worker: 2, Low: 0, High: 1}},
	}
	rows := func(yield func(*api.LedgerRow, error) bool) { yield(row, nil) }
	if err := printLedger(&out, rows); err != nil {
		t.Fatal(err)
	}
	want := "STEP     EPOCH  LOSS    EXAMPLES  CHAIN         STATE  WORKERS\n" +
		"46 test  1      0.5000  10        abababababab  -      w1 0-3, w2 4-7, ? 0-0\n"
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
		Replicas: []*api.ReplicaStatus{{Id: "a", Address: "h:1", RaftAddress: "h:2", Reachable: true, Job: "j", Step: 7}},
	}
	if err := printCluster(&out, cluster); err != nil {
		t.Fatal(err)
	}
	want = "cluster convoy, leader a, term 3\n\n" +
		"COORDINATOR  ADDRESS  RAFT  REACHABLE  NATS  JOB  STATE  PROBLEM\n" +
		"a            h:1      h:2   yes        no    j    7      -\n" +
		"\nno workers: start some with `worker`\n"
	if out.String() != want {
		t.Errorf("cluster\n%swant\n%s", out.String(), want)
	}
}
