package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"convoy/api"
)

// history is a job's statuses with the time since its start.
var history = []struct {
	at     time.Duration
	status *api.JobStatus
}{
	{0, &api.JobStatus{Phase: api.Phase_PHASE_QUEUED}},
	{100 * time.Millisecond, &api.JobStatus{Phase: api.Phase_PHASE_QUEUED, Reason: "waits for 2 workers, 1 is here"}},
	{time.Second, &api.JobStatus{Phase: api.Phase_PHASE_RUNNING}},
	{1100 * time.Millisecond, trainingStatus(1, 2.3026)},
	{1200 * time.Millisecond, trainingStatus(2, 2.2981)}, // too early for another line
	{3100 * time.Millisecond, trainingStatus(20, 1.7)},
	{4 * time.Second, withAccuracy(trainingStatus(48, 0.9), 0.8125)}, // a new accuracy does not wait
	{4100 * time.Millisecond, withAccuracy(trainingStatus(49, 0.8), 0.8125)},
	{9 * time.Second, withReason(withAccuracy(trainingStatus(49, 0.8), 0.8125), "no NATS")},
	{9100 * time.Millisecond, withReason(withAccuracy(trainingStatus(49, 0.8), 0.8125), "no NATS")},
	{12 * time.Second, ended(withAccuracy(trainingStatus(94, 0.11), 0.9736))},
}

// trainingStatus is a job of 2 epochs of 46 steps after step training steps.
func trainingStatus(step uint64, loss float64) *api.JobStatus {
	return &api.JobStatus{
		Job: "lenet-k3v9qa", Phase: api.Phase_PHASE_RUNNING, Epoch: uint32(step/48) + 1, Epochs: 2, Step: step, Steps: 94,
		TrainingSteps: min(step, 92), TrainingStepsTotal: 92, TrainLoss: loss, HasTrainLoss: true, ImagesPerSecond: 5120.4,
	}
}

func withAccuracy(s *api.JobStatus, accuracy float64) *api.JobStatus {
	s.TestAccuracy, s.TestLoss, s.HasTest = accuracy, 1-accuracy, true
	s.TestTop5, s.HasTestTop5 = (1+accuracy)/2, true
	return s
}

func withReason(s *api.JobStatus, reason string) *api.JobStatus {
	s.Reason = reason
	return s
}

func ended(s *api.JobStatus) *api.JobStatus {
	s.Phase = api.Phase_PHASE_FINISHED
	return s
}

func TestLines(t *testing.T) {
	var out bytes.Buffer
	start := time.Unix(1e9, 0)
	now := start
	l := &lines{w: &out, now: func() time.Time { return now }}
	for _, h := range history {
		now = start.Add(h.at)
		if err := l.show(h.status); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(filepath.Join("testdata", "lines.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("lines\n%s\nwant\n%s", out.String(), want)
	}
}

func TestView(t *testing.T) {
	start := time.Unix(1e9, 0)
	now := start
	v := newView(func() time.Time { return now })
	v.Update(tea.WindowSizeMsg{Width: 50, Height: 24})
	for _, h := range history[:8] {
		now = start.Add(h.at)
		v.Update(h.status)
	}
	got := ansi.Strip(v.View().Content)
	want := "lenet-k3v9qa  epoch 2/2  step 49/94\n" +
		strings.Repeat("█", 22) + strings.Repeat("░", 21) + "  52%\n" +
		"loss 0.8000  test loss 0.1875  accuracy 81.25 %  top-5 90.62 %  images/s 5120  left 3s\n"
	if got != want {
		t.Errorf("view\n%s\nwant\n%s", got, want)
	}
}

func TestRoughly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		10 * time.Millisecond:        "1s",
		59 * time.Second:             "59s",
		61 * time.Second:             "1m01s",
		3*time.Hour + 59*time.Minute: "3h59m",
	} {
		if got := roughly(d); got != want {
			t.Errorf("roughly(%v) = %s, want %s", d, got, want)
		}
	}
}
