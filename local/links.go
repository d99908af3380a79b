package local

import (
	"errors"
	"net"
	"sync"

	"convoy/local/link"
)

// Messages returns the filter of one direction of a connection between the
// process with that name and NATS; up is towards the server. nil changes nothing.
type Messages func(name string, up bool) link.Filter

// Cut says what a process is separated from.
type Cut struct {
	Name  string    // the process
	NATS  bool      // from the NATS server
	Peers bool      // from all others' gRPC and Raft, in both directions
	Fate  link.Fate // of its connections: link.Hold or link.Cut
}

// links are the proxies between the processes. A coordinator has one address for
// all who dial it, and who dials is found by the socket's owner, so that all have
// the same list of coordinators.
type links struct {
	who      func(net.Addr) string
	messages Messages

	mu    sync.Mutex
	peers []namedProxy // to a coordinator's gRPC or Raft
	natsP []namedProxy // to NATS, one for each client
}

type namedProxy struct {
	name string
	*link.Proxy
}

func newLinks(who func(net.Addr) string, m Messages) *links {
	return &links{who: who, messages: m}
}

// peer opens a proxy to a coordinator and returns its address.
func (l *links) peer(name, target string) (string, error) {
	return l.add(&l.peers, name, target, link.Options{Who: l.who})
}

// nats opens a proxy to NATS for one client.
func (l *links) nats(name, target string) (string, error) {
	o := link.Options{Who: func(net.Addr) string { return name }}
	if l.messages != nil {
		o.NATS = func(from string, up bool) link.Filter {
			if f := l.messages(from, up); f != nil {
				return f
			}
			return func(m link.Message) []link.Message { return []link.Message{m} }
		}
	}
	return l.add(&l.natsP, name, target, o)
}

func (l *links) add(list *[]namedProxy, name, target string, o link.Options) (string, error) {
	address, err := freeAddress()
	if err != nil {
		return "", err
	}
	p, err := link.Listen(address, target, o)
	if err != nil {
		return "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	*list = append(*list, namedProxy{name, p})
	return address, nil
}

func (l *links) cut(cut Cut) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.natsP {
		fate := link.Pass
		if cut.NATS && p.name == cut.Name {
			fate = cut.Fate
		}
		p.Set(func(string) link.Fate { return fate })
	}
	for _, p := range l.peers {
		p.Set(func(from string) link.Fate {
			if cut.Peers && (from == cut.Name) != (p.name == cut.Name) {
				return cut.Fate
			}
			return link.Pass
		})
	}
}

func (l *links) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, p := range append(l.peers, l.natsP...) {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// Cut separates one process from others; whoever was separated before is
// connected again.
func (c *Cluster) Cut(cut Cut) error {
	if c.links == nil {
		return errNoLinks
	}
	if _, err := c.process(cut.Name); err != nil {
		return err
	}
	c.links.cut(cut)
	return nil
}

// Heal connects everybody again.
func (c *Cluster) Heal() error {
	if c.links == nil {
		return errNoLinks
	}
	c.links.cut(Cut{})
	return nil
}

// owner names the process of this cluster that a connection comes from.
func (c *Cluster) owner(dialer net.Addr) string {
	address, ok := dialer.(*net.TCPAddr)
	if !ok {
		return ""
	}
	c.mu.Lock()
	pids := make(map[int]string, len(c.processes))
	for name, p := range c.processes {
		if p.running() {
			pids[p.cmd.Process.Pid] = name
		}
	}
	c.mu.Unlock()
	return ownerOf(address.AddrPort(), pids)
}
