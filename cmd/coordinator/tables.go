package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"convoy/api"
)

// table prints rows of cells in columns. An empty cell is a dash, so that
// columns can be counted.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		if _, err := fmt.Fprintln(t, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

func printJobs(w io.Writer, jobs []*api.JobStatus) error {
	if len(jobs) == 0 {
		_, err := fmt.Fprintln(w, "no jobs yet: hand one in with `coordinator job submit FILE`")
		return err
	}
	rows := [][]string{{"JOB", "PHASE", "EPOCH", "STEP", "LOSS", "ACCURACY", "SUBMITTED"}}
	for _, s := range jobs {
		rows = append(rows, []string{
			s.GetJob(), phaseName(s.GetPhase()), of(s.GetEpoch(), s.GetEpochs()), of(s.GetStep(), s.GetSteps()),
			loss(s), accuracy(s), local(s.GetSubmittedUnixNanos()),
		})
	}
	return table(w, rows)
}

func printStatus(w io.Writer, s *api.JobStatus) error {
	phase := phaseName(s.GetPhase())
	if s.GetReason() != "" {
		phase += ": " + s.GetReason()
	}
	rows := [][]string{
		{"job", s.GetJob()},
		{"phase", phase},
		{"epoch", of(s.GetEpoch(), s.GetEpochs())},
		{"step", of(s.GetStep(), s.GetSteps())},
		{"committed", fmt.Sprint(s.GetCommitted())},
		{"train loss", loss(s)},
		{"test loss", testLoss(s)},
		{"test accuracy", accuracy(s)},
		{"test top-5", top5(s)},
		{"images/s", rate(s.GetImagesPerSecond())},
		{"workers", workers(s)},
		{"digest", at(s.GetDigest(), s.GetDigestStep())},
		{"checkpoint", at(s.GetCheckpointSha256(), s.GetCheckpointStep())},
		{"recipe", s.GetRecipeHash()},
		{"submitted", local(s.GetSubmittedUnixNanos())},
		{"started", local(s.GetStartedUnixNanos())},
		{"ended", local(s.GetEndedUnixNanos())},
	}
	return table(w, rows)
}

// workers tells how many compute now and what each has contributed.
func workers(s *api.JobStatus) string {
	parts := []string{}
	for _, id := range slices.Sorted(maps.Keys(s.GetWorkersUsed())) {
		parts = append(parts, fmt.Sprintf("%s %d", id, s.GetWorkersUsed()[id]))
	}
	if len(parts) == 0 {
		return fmt.Sprint(s.GetWorkers())
	}
	return fmt.Sprintf("%d (partials: %s)", s.GetWorkers(), strings.Join(parts, ", "))
}

func printCluster(w io.Writer, s *api.ClusterStatus) error {
	leader := s.GetLeader()
	if leader == "" {
		leader = "none: a majority of the coordinators must run and reach each other"
	}
	if _, err := fmt.Fprintf(w, "cluster %s, leader %s, term %d\n\n", s.GetCluster(), leader, s.GetTerm()); err != nil {
		return err
	}
	rows := [][]string{{"COORDINATOR", "ADDRESS", "RAFT", "STAGE", "REACHABLE", "NATS", "JOB", "STATE", "PROBLEM"}}
	for _, r := range s.GetReplicas() {
		rows = append(rows, []string{
			r.GetId(), r.GetAddress(), r.GetRaftAddress(), r.GetStage(), yes(r.GetReachable()), yes(r.GetNats()),
			r.GetJob(), held(r.GetJob(), r.GetStep()), r.GetProblem(),
		})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	if len(s.GetWorkers()) == 0 {
		_, err := fmt.Fprintln(w, "\nno workers: start some with `worker`")
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	rows = [][]string{{"WORKER", "THREADS", "JOB", "STATE", "MICRO-BATCHES", "PROBLEM"}}
	for _, k := range s.GetWorkers() {
		rows = append(rows, []string{
			k.GetId(), fmt.Sprint(k.GetThreads()), k.GetJob(), held(k.GetJob(), k.GetStep()),
			span(k.GetLow(), k.GetHigh()), k.GetProblem(),
		})
	}
	return table(w, rows)
}

func printLogLine(w io.Writer, l *api.LogLine) error {
	_, err := fmt.Fprintf(w, "%s  %s  %s\n", local(l.GetUnixNanos()), l.GetReplica(), strings.TrimRight(l.GetText(), "\n"))
	return err
}

func of[N uint32 | uint64](n, total N) string { return fmt.Sprintf("%d/%d", n, total) }

func loss(s *api.JobStatus) string {
	if !s.GetHasTrainLoss() {
		return ""
	}
	return fmt.Sprintf("%.4f", s.GetTrainLoss())
}

func accuracy(s *api.JobStatus) string {
	if !s.GetHasTest() {
		return ""
	}
	return percent(s.GetTestAccuracy())
}

// top5 is the share of test examples whose label is among the five most likely,
// "" where there are no more than five.
func top5(s *api.JobStatus) string {
	if !s.GetHasTestTop5() {
		return ""
	}
	return percent(s.GetTestTop5())
}

func testLoss(s *api.JobStatus) string {
	if !s.GetHasTest() {
		return ""
	}
	return fmt.Sprintf("%.4f", s.GetTestLoss())
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

func rate(perSecond float64) string {
	if perSecond <= 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", perSecond)
}

// at is a digest and the state it is of.
func at(digest string, step uint64) string {
	if digest == "" {
		return ""
	}
	return fmt.Sprintf("%s (state %d)", digest, step)
}

// held is the state that a process holds of a job.
func held(job string, step uint64) string {
	if job == "" {
		return ""
	}
	return fmt.Sprint(step)
}

func span(low, high uint32) string {
	if low == high {
		return ""
	}
	return fmt.Sprintf("%d-%d", low, high-1)
}

// short is as much of a digest as a table has room for.
func short(digest string) string {
	if b, err := hex.DecodeString(digest); err != nil || len(b) < 6 {
		return digest
	}
	return digest[:12]
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// local is a time as people at this machine read it; "" for none.
func local(unixNanos int64) string {
	if unixNanos == 0 {
		return ""
	}
	return time.Unix(0, unixNanos).Format("2006-01-02 15:04:05")
}
