// Package link forwards TCP connections, so that what goes over them can be cut
// off, held back or changed on its way.
//
// It promises that a connection under Pass carries exactly the bytes that were
// sent, unless a filter of its proxy changes a message; that one under Cut is
// closed and refused; and that one under Hold loses nothing: what was under way
// goes on once it passes again, as TCP resends what a broken cable lost. The
// idea is that of Shopify's toxiproxy; this one also knows who dials, and reads
// NATS.
package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Fate is what happens to a connection.
type Fate int

// The fates.
const (
	Pass Fate = iota // it is forwarded
	Hold             // nothing gets through, and nobody is told
	Cut              // it is closed, and new ones are refused
)

func (f Fate) String() string { return [...]string{"pass", "hold", "cut"}[f] }

// Options set up a Proxy.
type Options struct {
	// Who names the process that dials from an address of this machine; nil
	// names nobody.
	Who func(dialer net.Addr) string
	// NATS returns what is done with the messages of one direction of a
	// connection that from dialed; up is towards the server. Nil forwards bytes
	// as they are, whatever they mean.
	NATS func(from string, up bool) Filter
}

// Proxy takes connections at an address of its own and forwards them to another.
type Proxy struct {
	target   string
	o        Options
	listener net.Listener
	ctx      context.Context
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu    sync.Mutex
	rule  func(from string) Fate
	conns map[*conn]struct{}
}

// dialTimeout is how long the target may take to answer.
const dialTimeout = 5 * time.Second

// Listen opens a proxy to target at an address of this machine, host:port.
func Listen(address, target string, o Options) (*Proxy, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("proxy to %s: %w: choose another address", target, err)
	}
	p := &Proxy{target: target, o: o, listener: l, rule: func(string) Fate { return Pass }, conns: map[*conn]struct{}{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.running.Go(p.accept)
	return p, nil
}

// Addr is the proxy's own address, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set decides anew what happens to each connection, by who dialed it; those that
// stand included.
func (p *Proxy) Set(rule func(from string) Fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
	for c := range p.conns {
		c.meet(rule(c.from))
	}
}

// Close ends all connections and returns when nothing runs any more.
func (p *Proxy) Close() error {
	p.stop()
	err := p.listener.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.meet(Cut)
	}
	p.mu.Unlock()
	p.running.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			if p.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors, say: the next one may have more luck.
			select {
			case <-p.ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		p.running.Go(func() { p.serve(near) })
	}
}

func (p *Proxy) serve(near net.Conn) {
	c := &conn{near: near, ended: make(chan struct{})}
	if p.o.Who != nil {
		c.from = p.o.Who(near.RemoteAddr())
	}
	p.mu.Lock()
	p.conns[c] = struct{}{}
	c.meet(p.rule(c.from))
	if p.ctx.Err() != nil { // closed while it was accepted
		c.meet(Cut)
	}
	p.mu.Unlock()
	p.forward(c)
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// forward carries bytes both ways until one side ends.
func (p *Proxy) forward(c *conn) {
	defer c.end()
	if !c.pass() {
		return
	}
	d := net.Dialer{Timeout: dialTimeout}
	far, err := d.DialContext(p.ctx, "tcp", p.target)
	if err != nil || !c.reach(far) {
		return
	}
	var both sync.WaitGroup
	for _, up := range []bool{true, false} {
		both.Go(func() {
			defer c.end() // a half that ends takes the other with it, as a process that dies does
			from, to := c.near, far
			if !up {
				from, to = far, c.near
			}
			p.carry(c, to, from, up)
		})
	}
	both.Wait()
}

func (p *Proxy) carry(c *conn, to io.Writer, from io.Reader, up bool) {
	// Either copy ends with the connection, whatever the error is.
	out := gated{c, to}
	if p.o.NATS != nil {
		_ = copyMessages(out, from, p.o.NATS(c.from, up))
		return
	}
	// Neither side shows that it is a TCP connection: the kernel would splice
	// bytes past the gate.
	_, _ = io.Copy(out, struct{ io.Reader }{from})
}

// conn is one connection that is forwarded.
type conn struct {
	near net.Conn
	from string

	mu    sync.Mutex
	far   net.Conn      // nil until it is reached
	open  chan struct{} // closed when what is held may go on; nil while nothing is
	ended chan struct{}
	over  bool
}

// meet brings a fate upon the connection.
func (c *conn) meet(f Fate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case f == Cut:
		c.close()
	case f == Hold && c.open == nil:
		c.open = make(chan struct{})
	case f == Pass && c.open != nil:
		close(c.open)
		c.open = nil
	}
}

// pass waits while the connection is held, and reports whether it still stands.
func (c *conn) pass() bool {
	for {
		c.mu.Lock()
		open, over := c.open, c.over
		c.mu.Unlock()
		if over || open == nil {
			return !over
		}
		select {
		case <-open:
		case <-c.ended:
		}
	}
}

// reach notes the other side, unless the connection has ended meanwhile.
func (c *conn) reach(far net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		_ = far.Close() // nothing was sent
		return false
	}
	c.far = far
	return true
}

func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close()
}

// close resets both sides: who reads learns at once. c.mu is held.
func (c *conn) close() {
	if c.over {
		return
	}
	c.over = true
	close(c.ended)
	for _, side := range []net.Conn{c.near, c.far} {
		if side == nil {
			continue
		}
		if tcp, ok := side.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // if it is gone already, so much the better
		}
		_ = side.Close() // likewise
	}
}

// gated holds writes back while the connection is held.
type gated struct {
	c *conn
	w io.Writer
}

func (g gated) Write(b []byte) (int, error) {
	if !g.c.pass() {
		return 0, net.ErrClosed
	}
	return g.w.Write(b)
}
