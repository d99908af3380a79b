package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	bubbles "charm.land/bubbles/v2/progress"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"convoy/api"
)

// live is progress as three lines of a terminal that are drawn again and again.
// It reads no input and takes no signal, so the terminal keeps its settings and
// an interrupt reaches the program as ever.
type live struct {
	terminal *os.File
	program  *tea.Program
	ended    chan error
}

func newLive(terminal *os.File) *live {
	l := &live{
		terminal: terminal,
		program: tea.NewProgram(newView(time.Now),
			tea.WithOutput(terminal), tea.WithInput(nil), tea.WithoutSignalHandler()),
		ended: make(chan error, 1),
	}
	go func() {
		_, err := l.program.Run()
		l.ended <- err
	}()
	return l
}

func (l *live) show(s *api.JobStatus) error {
	l.program.Send(s)
	return nil
}

func (l *live) close() error {
	l.program.Quit()
	if err := <-l.ended; err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("live view: %w: use --no-progress", err)
	}
	_, err := fmt.Fprintln(l.terminal) // what follows stands apart
	return err
}

// view is the model of bubbletea's program.
type view struct {
	bar    bubbles.Model
	now    func() time.Time
	pace   pace
	status *api.JobStatus
}

func newView(now func() time.Time) *view {
	return &view{bar: bubbles.New(bubbles.WithDefaultBlend(), bubbles.WithFillCharacters('█', '░')), now: now}
}

func (v *view) Init() tea.Cmd { return nil }

func (v *view) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch m := message.(type) {
	case tea.WindowSizeMsg:
		v.bar.SetWidth(min(m.Width-2, 60))
	case *api.JobStatus:
		v.status = m
		v.pace.see(v.now(), m)
	}
	return v, nil
}

var (
	strong = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
)

func (v *view) View() tea.View {
	s := v.status
	if s == nil {
		return tea.NewView(faint.Render("starting") + "\n")
	}
	head := []string{strong.Render(s.GetJob()), "epoch " + of(s.GetEpoch(), s.GetEpochs()), "step " + of(s.GetStep(), s.GetSteps())}
	if s.GetPhase() != api.Phase_PHASE_RUNNING {
		head = append(head, phaseName(s.GetPhase()))
	}
	if s.GetReason() != "" {
		head = append(head, s.GetReason())
	}
	done := 0.0
	if s.GetSteps() > 0 {
		done = float64(s.GetStep()) / float64(s.GetSteps())
	}
	var facts []string
	for _, f := range []struct{ name, value string }{
		{"loss", loss(s)},
		{"test loss", testLoss(s)},
		{"accuracy", accuracy(s)},
		{"top-5", top5(s)},
		{"images/s", rate(s.GetImagesPerSecond())},
		{"left", leftText(v.pace.left(s))},
	} {
		if f.value != "" {
			facts = append(facts, faint.Render(f.name)+" "+strong.Render(f.value))
		}
	}
	return tea.NewView(strings.Join(head, "  ") + "\n" + v.bar.ViewAs(done) + "\n" + strings.Join(facts, "  ") + "\n")
}

func leftText(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return roughly(d)
}
