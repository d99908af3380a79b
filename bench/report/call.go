package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Machine says how programs are run and watched.
type Machine struct {
	Threads   int  // of each program, on as many cores
	Disturbed bool // what others disturb counts
}

// Call runs a program and returns what it printed, and how many cores other
// processes used meanwhile.
func (m Machine) Call(ctx context.Context, args ...string) (text string, others float64, err error) {
	return m.Quietly(func(int) (string, float64, error) { return m.CallOnce(ctx, args...) })
}

// Quietly repeats a run that other processes disturbed: PyTorch's threads spin
// while they wait for one another, and are ten times as slow where one of them has
// to share its core.
func (m Machine) Quietly(run func(attempt int) (string, float64, error)) (text string, others float64, err error) {
	for i := range patience {
		if i > 0 {
			Progress("others used %.2f cores: once more", others)
			awaitQuiet(m.Threads)
		}
		if text, others, err = run(i); err != nil || others <= quiet || m.Disturbed {
			return text, others, err
		}
	}
	return "", others, fmt.Errorf("others used %.2f cores after %d attempts: measure on a quiet machine, or with --disturbed", others, patience)
}

// CallOnce runs a program on the first cores alone, as many as there are threads.
func (m Machine) CallOnce(ctx context.Context, args ...string) (text string, others float64, err error) {
	if taskset, err := exec.LookPath("taskset"); err == nil && runtime.NumCPU() > m.Threads {
		args = append([]string{taskset, "--cpu-list", fmt.Sprintf("0-%d", m.Threads-1)}, args...)
	}
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Stderr = os.Stderr
	c.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	w := startWatch(m.Threads)
	out, err := c.Output()
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), w.others(c.ProcessState.UserTime() + c.ProcessState.SystemTime()), nil
}

// One calls a program that prints one JSON line.
func One[T any](ctx context.Context, m Machine, args ...string) (v T, others float64, err error) {
	text, others, err := m.Call(ctx, args...)
	if err != nil {
		return v, 0, err
	}
	list, err := Lines[T](text)
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("%d lines, want one", len(list))
	}
	if err != nil {
		return v, 0, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return list[0], others, nil
}

// Progress prints a line for whoever waits.
func Progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
