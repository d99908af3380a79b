package bus

import (
	"sync"
	"sync/atomic"
)

// localQueue is how many messages wait for one subscriber. Credit (16 chunks a
// receiver) and one plan, head and row a step keep a healthy process far below
// it.
const localQueue = 1 << 14

// Local is the carrier inside one process. It hands a message itself to every
// subscriber; nothing is copied.
type Local struct {
	mu     sync.RWMutex
	subs   map[*localSub]struct{}
	closed bool

	published, received, dropped atomic.Uint64
}

var _ Carrier = (*Local)(nil)

// localSub is one subscription: a queue and the goroutine that empties it.
type localSub struct {
	pattern string
	queue   chan Message
	quit    chan struct{} // closed to end the goroutine
	done    chan struct{} // closed by the goroutine when it has ended
	stop    sync.Once
}

// NewLocal returns a carrier without subscribers.
func NewLocal() *Local { return &Local{subs: map[*localSub]struct{}{}} }

// Publish puts m into the queue of every subscriber of subject. A subscriber
// whose queue is full misses it, which Stats counts.
func (l *Local) Publish(subject string, m Message) error {
	if err := checkSubject(subject, false); err != nil {
		return err
	}
	if err := m.Check(); err != nil {
		return err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return ErrClosed
	}
	l.published.Add(1)
	for s := range l.subs {
		if !matches(s.pattern, subject) {
			continue
		}
		select {
		case s.queue <- m:
		default:
			l.dropped.Add(1)
		}
	}
	return nil
}

// Subscribe gives f a queue and a goroutine of its own.
func (l *Local) Subscribe(subject string, f func(Message)) (func(), error) {
	if err := checkSubject(subject, true); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	s := &localSub{
		pattern: subject,
		queue:   make(chan Message, localQueue),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	l.subs[s] = struct{}{}
	go l.deliver(s, f)
	return func() { l.unsubscribe(s) }, nil
}

func (l *Local) deliver(s *localSub, f func(Message)) {
	defer close(s.done)
	for {
		select {
		case <-s.quit:
			return
		case m := <-s.queue:
			select {
			case <-s.quit: // select chooses at random where both are ready
				return
			default:
			}
			l.received.Add(1)
			f(m)
		}
	}
}

func (l *Local) unsubscribe(s *localSub) {
	l.mu.Lock()
	delete(l.subs, s)
	l.mu.Unlock()
	s.end()
}

// end stops the goroutine and waits for it.
func (s *localSub) end() {
	s.stop.Do(func() { close(s.quit) })
	<-s.done
}

// Connected is true until Close.
func (l *Local) Connected() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return !l.closed
}

// Close ends all subscriptions; messages that still wait are lost.
func (l *Local) Close() error {
	l.mu.Lock()
	subs := l.subs
	l.subs, l.closed = nil, true
	l.mu.Unlock()
	for s := range subs {
		s.end()
	}
	return nil
}

// Stats returns the counters.
func (l *Local) Stats() Stats {
	return Stats{Published: l.published.Load(), Received: l.received.Load(), Dropped: l.dropped.Load()}
}
