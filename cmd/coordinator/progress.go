package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"convoy/api"
	"convoy/client"
)

// progress shows a person how a job is getting on.
type progress interface {
	show(*api.JobStatus) error
	close() error // leaves what was shown last where it is
}

// noProgress shows nothing.
type noProgress struct{}

func (noProgress) show(*api.JobStatus) error { return nil }
func (noProgress) close() error              { return nil }

// newProgress is a live view where w is a terminal, and lines otherwise.
func newProgress(w io.Writer) progress {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return newLive(f)
	}
	return &lines{w: w, now: time.Now}
}

// lineInterval is the time between two lines, where nothing special happens.
const lineInterval = 2 * time.Second

// lines is progress as one plain line an interval, and one at each of: the first
// loss, a new test accuracy, a new reason to wait, the end.
type lines struct {
	w     io.Writer
	now   func() time.Time
	pace  pace
	last  time.Time // of the last line
	shown *api.JobStatus
}

func (l *lines) show(s *api.JobStatus) error {
	now := l.now()
	l.pace.see(now, s)
	if !l.due(now, s) {
		return nil
	}
	l.last, l.shown = now, s
	_, err := fmt.Fprintln(l.w, line(s, l.pace.left(s)))
	return err
}

func (l *lines) due(now time.Time, s *api.JobStatus) bool {
	before := l.shown
	switch {
	case before == nil:
		return s.GetHasTrainLoss() || s.GetReason() != ""
	case client.Ended(s.GetPhase()) && !client.Ended(before.GetPhase()), s.GetReason() != "" && s.GetReason() != before.GetReason():
		return true
	case s.GetHasTrainLoss() && !before.GetHasTrainLoss():
		return true
	case s.GetHasTest() && (!before.GetHasTest() || s.GetTestAccuracy() != before.GetTestAccuracy()):
		return true
	}
	return now.Sub(l.last) >= lineInterval && s.GetStep() != before.GetStep()
}

func (l *lines) close() error { return nil }

// line is a status in one line.
func line(s *api.JobStatus, left time.Duration) string {
	text := fmt.Sprintf("epoch %s  step %s", of(s.GetEpoch(), s.GetEpochs()), of(s.GetStep(), s.GetSteps()))
	if t := loss(s); t != "" {
		text += "  loss " + t
	}
	if t := testLoss(s); t != "" {
		text += "  test loss " + t
	}
	if t := accuracy(s); t != "" {
		text += "  accuracy " + t
	}
	if t := top5(s); t != "" {
		text += "  top-5 " + t
	}
	if t := rate(s.GetImagesPerSecond()); t != "" {
		text += "  " + t + " images/s"
	}
	if left > 0 {
		text += "  " + roughly(left) + " left"
	}
	switch s.GetPhase() {
	case api.Phase_PHASE_RUNNING:
	default:
		text += "  " + phaseName(s.GetPhase())
	}
	if s.GetReason() != "" {
		text += "  (" + s.GetReason() + ")"
	}
	return text
}

// pace estimates when a job will end from the training steps that it did while
// somebody watched.
type pace struct {
	since time.Time
	first uint64
	begun bool
	speed float64 // training steps a second
}

// minPace is how long one must have watched for an estimate.
const minPace = time.Second

func (p *pace) see(now time.Time, s *api.JobStatus) {
	done := s.GetTrainingSteps()
	if !p.begun || done < p.first {
		if s.GetPhase() == api.Phase_PHASE_RUNNING && s.GetHasTrainLoss() {
			*p = pace{since: now, first: done, begun: true}
		}
		return
	}
	if t := now.Sub(p.since); t >= minPace {
		p.speed = float64(done-p.first) / t.Seconds()
	}
}

// left is the time to the end, 0 where it is not known.
func (p *pace) left(s *api.JobStatus) time.Duration {
	if p.speed <= 0 || s.GetPhase() != api.Phase_PHASE_RUNNING {
		return 0
	}
	steps := float64(s.GetTrainingStepsTotal() - s.GetTrainingSteps())
	return time.Duration(steps / p.speed * float64(time.Second))
}

// imagesPerSecond is the mean over the whole time, 0 where it is not known.
func (p *pace) imagesPerSecond(batch int) float64 { return p.speed * float64(batch) }

// roughly is a time in its two largest units.
func roughly(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%ds", max(1, int(d.Seconds()+0.5)))
	}
}
