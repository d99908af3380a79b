package bus

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// link is one connection and the goroutine that feeds it: a write to a socket
// whose server has stopped reading blocks, and Publish must not.
type link struct {
	conn  *nats.Conn
	up    atomic.Bool // conn's own IsConnected waits while a write blocks
	queue chan outgoing
	quit  chan struct{} // closed to end the goroutine
	done  chan struct{} // closed by the goroutine when it has ended
	stop  sync.Once
}

type outgoing struct {
	subject string
	message Message
}

// newLink begins to connect and returns at once; first receives a token when
// the connection stands for the first time.
func (n *NATS) newLink(kind string, first chan<- struct{}) (*link, error) {
	l := &link{
		queue: make(chan outgoing, sendQueue),
		quit:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	turn := func(up bool) {
		l.up.Store(up)
		n.changed()
	}
	o := nats.GetDefaultOptions()
	o.Servers = n.opts.URLs
	o.Name = n.opts.Name + " " + kind
	o.RetryOnFailedConnect = true
	o.MaxReconnect = -1
	o.ReconnectWait = reconnectWait
	o.ReconnectJitter, o.ReconnectJitterTLS = reconnectMore, reconnectMore
	o.ReconnectBufSize = -1 // the protocol repairs; old messages would only be in its way
	o.IgnoreAuthErrorAbort = true
	o.IgnoreDiscoveredServers = true // only addresses that somebody gave
	o.Timeout = min(attemptTimeout, n.opts.Timeout)
	o.FlusherTimeout = writeTimeout
	o.PingInterval, o.MaxPingsOut = pingInterval, 2
	o.ConnectedCB = func(*nats.Conn) { turn(true); first <- struct{}{} }
	o.ReconnectedCB = func(*nats.Conn) { turn(true) }
	o.DisconnectedErrCB = func(*nats.Conn, error) { turn(false) }
	o.AsyncErrorCB = n.failed
	conn, err := o.Connect()
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", redact(n.opts.URLs), err)
	}
	l.conn = conn
	go n.send(l)
	return l, nil
}

// send carries l's queue to the socket until l is closed, and then what is
// still queued.
func (n *NATS) send(l *link) {
	defer close(l.done)
	var frame []byte // reused: the connection copies what it is given
	for {
		select {
		case o := <-l.queue:
			frame = n.sendOne(l, frame, o)
		case <-l.quit:
			n.drain(l, frame)
			return
		}
	}
}

func (n *NATS) drain(l *link, frame []byte) {
	deadline := time.Now().Add(flushTimeout)
	for time.Now().Before(deadline) {
		select {
		case o := <-l.queue:
			frame = n.sendOne(l, frame, o)
		default:
			if l.up.Load() {
				if err := l.conn.FlushTimeout(flushTimeout); err != nil {
					n.opts.Log.Warn("the last messages to NATS may be lost", zap.Error(err))
				}
			}
			return
		}
	}
}

// sendOne encodes into frame, which it returns for the next message.
func (n *NATS) sendOne(l *link, frame []byte, o outgoing) []byte {
	next, err := appendFrame(frame[:0], o.message)
	if err == nil {
		frame, err = next, l.conn.Publish(o.subject, next)
	}
	if err != nil {
		n.lost.Add(1)
		if events, now := n.badSend.pass(); now {
			n.opts.Log.Warn("messages to NATS are lost", zap.Int("messages", events), zap.String("subject", o.subject), zap.Error(err))
		}
		return frame
	}
	n.sentBytes.Add(uint64(len(frame)))
	return frame
}

// close ends the goroutine, then the connection.
func (l *link) close() {
	l.stop.Do(func() { close(l.quit) })
	<-l.done
	l.conn.Close()
	l.up.Store(false)
}

// natsSub is one subscription of ours, which is one on each connection.
type natsSub struct {
	mu   sync.Mutex // held while f runs, so that calls of the two do not overlap
	gone bool
	subs [2]*nats.Subscription
	once sync.Once
}

// dropped counts what the client's queues could not take.
func (s *natsSub) dropped() (total uint64) {
	for _, sub := range s.subs {
		if d, err := sub.Dropped(); err == nil {
			total += uint64(d)
		}
	}
	return total
}

// Subscribe subscribes on both connections and waits until the server knows.
// Without a connection it takes effect when there is one.
func (n *NATS) Subscribe(subject string, f func(Message)) (func(), error) {
	if err := checkSubject(subject, true); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, ErrClosed
	}
	s := new(natsSub)
	var err error
	s.subs[0], err = n.listen(n.control, subject, s, f, controlPendingMessages, controlPendingBytes)
	if err != nil {
		return nil, err
	}
	s.subs[1], err = n.listen(n.bulk, subject+bulkSuffix, s, f, bulkPendingMessages, bulkPendingBytes)
	if err != nil {
		_ = s.subs[0].Unsubscribe() // the connection itself is gone
		return nil, err
	}
	for _, l := range []*link{n.control, n.bulk} {
		if l.up.Load() {
			// A connection that breaks here sends its subscriptions again when it stands.
			_ = l.conn.FlushTimeout(flushTimeout)
		}
	}
	n.subs[s] = struct{}{}
	return func() { n.unsubscribe(s) }, nil
}

func (n *NATS) listen(l *link, subject string, s *natsSub, f func(Message), messages, bytes int) (*nats.Subscription, error) {
	sub, err := l.conn.Subscribe(subject, func(raw *nats.Msg) {
		m, err := Decode(raw.Data)
		if err != nil {
			n.malformed.Add(1)
			if events, now := n.badFrame.pass(); now {
				n.opts.Log.Warn("dropped malformed messages", zap.Int("messages", events), zap.String("subject", raw.Subject), zap.Error(err))
			}
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.gone {
			n.received.Add(1)
			n.receivedBytes.Add(uint64(len(raw.Data)))
			f(m)
		}
	})
	if err == nil {
		err = sub.SetPendingLimits(messages, bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	return sub, nil
}

func (n *NATS) unsubscribe(s *natsSub) {
	n.mu.Lock()
	delete(n.subs, s)
	n.mu.Unlock()
	n.retire(s)
}

// retire ends s and waits for a call that runs.
func (n *NATS) retire(s *natsSub) {
	s.once.Do(func() {
		n.dropped.Add(s.dropped())
		for _, sub := range s.subs {
			_ = sub.Unsubscribe() // fails on a closed connection, which has ended it already
		}
	})
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
}
