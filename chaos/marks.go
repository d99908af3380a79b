package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// marks are the times at which the job's steps were published: when a step's row
// went from a coordinator to NATS, seen by the proxy between them.
type marks struct {
	mu      sync.Mutex
	begun   time.Time
	over    bool // the job has ended
	at      []time.Time
	changed chan struct{}
}

func newMarks() *marks { return &marks{changed: make(chan struct{})} }

// begin says that the job is handed in, the only one of its cluster.
func (m *marks) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begun = time.Now()
}

func (m *marks) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	m.tell()
}

// ended reports that the job has.
func (m *marks) ended() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.over
}

// tell wakes whoever waits. m.mu is held.
func (m *marks) tell() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// published notes that a step's row went out. One that a new leader publishes
// again is no progress, and one that comes after a gap stands for those in it.
func (m *marks) published(step uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if step < uint64(len(m.at)) || step > uint64(len(m.at))+maxGap {
		return
	}
	now := time.Now()
	for uint64(len(m.at)) <= step {
		m.at = append(m.at, now)
	}
	m.tell()
}

// maxGap bounds what one row may claim to stand for.
const maxGap = 1000

// done is how many steps are published.
func (m *marks) done() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.at)
}

var errOver = errors.New("the job has ended")

// wait waits until so many steps are published. It returns errOver if the job ends
// before, and an error if nothing is published for limit.
func (m *marks) wait(ctx context.Context, steps int, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	last := m.done()
	for {
		m.mu.Lock()
		done, over, changed := len(m.at), m.over, m.changed
		m.mu.Unlock()
		switch {
		case done >= steps:
			return nil
		case over:
			return errOver
		case done > last:
			last = done
			timer.Reset(limit)
		}
		select {
		case <-changed:
		case <-timer.C:
			return &stuckError{done, limit}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stuckError says that the job made no progress.
type stuckError struct {
	step  int
	limit time.Duration
}

func (e *stuckError) Error() string {
	return fmt.Sprintf("no step was published for %v after step %d", e.limit, e.step)
}

// longest is the longest time without a published step from an instant on, at
// which done steps were published, to the step that is the nth after it. It
// returns false where none was published.
func (m *marks) longest(from time.Time, done, n int) (time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.at) <= done {
		return 0, false
	}
	var most time.Duration
	for _, at := range m.at[done:min(done+n, len(m.at))] {
		most = max(most, at.Sub(from))
		from = at
	}
	return most, true
}

// since is the time from the job's submission to an instant.
func (m *marks) since(at time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return at.Sub(m.begun)
}

// typical is the median time between two steps.
func (m *marks) typical() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []time.Duration
	for i := 1; i < len(m.at); i++ {
		all = append(all, m.at[i].Sub(m.at[i-1]))
	}
	return quantile(all, 0.5)
}
