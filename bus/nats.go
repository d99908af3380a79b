package bus

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

const (
	dialTimeout    = 10 * time.Second // of the first connection, unless set
	attemptTimeout = 2 * time.Second  // of one attempt at one address
	writeTimeout   = 2 * time.Second  // a server that reads nothing for so long counts as gone
	flushTimeout   = 2 * time.Second  // of Subscribe's and Close's round trip
	pingInterval   = time.Second      // a silent server is noticed after three
	reconnectWait  = 50 * time.Millisecond
	reconnectMore  = 200 * time.Millisecond // random part of the wait
	logInterval    = 10 * time.Second       // between two lines about the same kind of loss
)

// What may wait for a subscriber's function before the client drops, and for
// the socket before Publish refuses. A queued message holds on to its floats,
// which the sender has in memory anyhow.
const (
	controlPendingMessages = 1 << 16
	controlPendingBytes    = 64 << 20
	bulkPendingMessages    = 1 << 20
	bulkPendingBytes       = 256 << 20
	sendQueue              = 1 << 13
)

// bulkSuffix ends the subject that floats travel on. NATS routes by subject and
// knows no connections, so the two connections need subjects of their own.
const bulkSuffix = ".bulk"

// Options set up Dial.
type Options struct {
	URLs    []string      // of the servers, such as nats://host:4222; at least one
	Name    string        // how the server's monitoring calls the two connections
	Timeout time.Duration // of the first connection; 0 means 10 s
	Log     *zap.Logger   // nil means silence
	OnEvent func(Event)   // called one at a time, must not block; nil means nobody listens
}

// EventKind tells Events apart.
type EventKind int

// Kinds of events.
const (
	Up   EventKind = iota // both connections stand
	Down                  // one of the connections is gone; it is being made again
	Slow                  // a subscriber's queue was full and messages were dropped
)

func (k EventKind) String() string { return [...]string{"up", "down", "slow"}[k] }

// Event is a change that the protocol above has to know of: after each,
// messages may be missing.
type Event struct {
	Kind    EventKind
	Subject string // of the slow subscription
}

// NATS is a carrier over a nats-server. It keeps two connections, so that a
// plan or an acknowledgement never waits behind megabytes of floats: one for
// control messages, one for Partial and Gradient. Both reconnect for ever; what
// is sent meanwhile is lost, and Publish says so.
type NATS struct {
	opts    Options
	control *link
	bulk    *link

	mu     sync.Mutex
	subs   map[*natsSub]struct{}
	closed bool

	open      atomic.Bool // from the end of Dial to Close: there is something to tell
	eventMu   sync.Mutex
	connected bool // as the last event told

	published, received, lost, dropped, malformed atomic.Uint64
	sentBytes, receivedBytes                      atomic.Uint64
	badFrame, badSend                             seldom
}

var _ Carrier = (*NATS)(nil)

// Dial connects to one of the servers. It returns an error that names them
// when both connections do not stand within the time limit, or ctx ends first.
func Dial(ctx context.Context, o Options) (*NATS, error) {
	if len(o.URLs) == 0 {
		return nil, errors.New("no address of a NATS server: give one such as nats://127.0.0.1:4222")
	}
	if o.Timeout == 0 {
		o.Timeout = dialTimeout
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	n := &NATS{opts: o, subs: map[*natsSub]struct{}{}}
	up := make(chan struct{}, 2)
	var err error
	if n.control, err = n.newLink("control", up); err != nil {
		return nil, err
	}
	if n.bulk, err = n.newLink("bulk", up); err != nil {
		n.control.close()
		return nil, err
	}
	timer := time.NewTimer(o.Timeout)
	defer timer.Stop()
	for range 2 {
		select {
		case <-up:
			continue
		case <-ctx.Done():
			err = ctx.Err()
		case <-timer.C:
			err = fmt.Errorf("no connection within %v (%w): start nats-server there or give another address", o.Timeout, n.lastError())
		}
		n.control.close()
		n.bulk.close()
		return nil, fmt.Errorf("connect to NATS at %s: %w", redact(o.URLs), err)
	}
	n.open.Store(true)
	n.changed()
	return n, nil
}

// lastError is why the connections do not stand.
func (n *NATS) lastError() error {
	for _, l := range []*link{n.control, n.bulk} {
		if err := l.conn.LastError(); err != nil && !l.up.Load() {
			return err
		}
	}
	return errors.New("no answer")
}

// redact lists addresses for a message, without passwords.
func redact(urls []string) string {
	shown := make([]string, len(urls))
	for i, raw := range urls {
		shown[i] = raw
		if u, err := url.Parse(raw); err == nil {
			shown[i] = u.Redacted()
		}
	}
	return strings.Join(shown, ", ")
}

// Publish queues m for the connection of its kind.
func (n *NATS) Publish(subject string, m Message) error {
	if err := checkSubject(subject, false); err != nil {
		return err
	}
	if err := m.Check(); err != nil {
		return err
	}
	l := n.control
	if m.bulk() {
		l, subject = n.bulk, subject+bulkSuffix
	}
	select {
	case <-l.quit:
		return ErrClosed
	default:
	}
	if !l.up.Load() {
		return ErrDisconnected
	}
	select {
	case l.queue <- outgoing{subject, m}:
		n.published.Add(1)
		return nil
	default:
		return ErrFull
	}
}

// Connected reports whether both connections stand.
func (n *NATS) Connected() bool {
	return n.control.up.Load() && n.bulk.up.Load()
}

// Stats returns the counters. Dropped may lag a little.
func (n *NATS) Stats() Stats {
	s := Stats{
		Published: n.published.Load(),
		Received:  n.received.Load(),
		Lost:      n.lost.Load(),
		Dropped:   n.dropped.Load(),
		Malformed: n.malformed.Load(),
		SentBytes: n.sentBytes.Load(), ReceivedBytes: n.receivedBytes.Load(),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for sub := range n.subs {
		s.Dropped += sub.dropped()
	}
	return s
}

// Close sends what is queued, as far as that takes no more than two seconds a
// connection, and ends both.
func (n *NATS) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	subs := n.subs
	n.subs = nil
	n.mu.Unlock()
	n.open.Store(false)
	for s := range subs {
		n.retire(s)
	}
	n.control.close()
	n.bulk.close()
	return nil
}

// changed tells the listener when Connected has changed.
func (n *NATS) changed() {
	if !n.open.Load() {
		return
	}
	n.eventMu.Lock()
	defer n.eventMu.Unlock()
	now := n.Connected()
	if now == n.connected {
		return
	}
	n.connected = now
	if now {
		n.opts.Log.Info("connected to NATS", zap.String("server", n.control.conn.ConnectedUrlRedacted()))
		n.tell(Event{Kind: Up})
	} else {
		n.opts.Log.Warn("lost the connection to NATS, reconnecting", zap.String("servers", redact(n.opts.URLs)))
		n.tell(Event{Kind: Down})
	}
}

func (n *NATS) tell(e Event) {
	if n.opts.OnEvent != nil {
		n.opts.OnEvent(e)
	}
}

// failed receives what nats.go cannot return to a caller.
func (n *NATS) failed(_ *nats.Conn, sub *nats.Subscription, err error) {
	if sub == nil || !errors.Is(err, nats.ErrSlowConsumer) {
		n.opts.Log.Warn("NATS reports a problem", zap.Error(err))
		return
	}
	n.eventMu.Lock()
	defer n.eventMu.Unlock()
	subject := strings.TrimSuffix(sub.Subject, bulkSuffix)
	n.opts.Log.Warn("a subscriber is too slow, messages were dropped", zap.String("subject", subject))
	n.tell(Event{Kind: Slow, Subject: subject})
}

// seldom lets one event pass in logInterval and counts the others.
type seldom struct {
	mu     sync.Mutex
	next   time.Time
	missed int
}

// pass reports whether to speak now, and for how many events.
func (s *seldom) pass() (events int, now bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missed++
	if t := time.Now(); t.After(s.next) {
		events, s.missed, s.next = s.missed, 0, t.Add(logInterval)
		return events, true
	}
	return 0, false
}
