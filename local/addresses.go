package local

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

// addresses are those of one process, host:port. Own ones it listens on, known
// ones are what others are told: without links the same.
type addresses struct {
	own, known      string // gRPC; NATS for the server itself
	raft, raftKnown string
	nats            string // where this process finds NATS
}

// assign gives the processes their addresses, and opens the proxies to them.
func (c *Cluster) assign(names []string) error {
	if c.o.Links {
		c.links = newLinks(c.owner, c.o.Messages)
	}
	for _, name := range names {
		var a addresses
		var err error
		if a.own, err = freeAddress(); err != nil {
			return err
		}
		if name != natsName {
			if a.raft, err = freeAddress(); err != nil {
				return err
			}
		}
		a.known, a.raftKnown = a.own, a.raft
		if c.links != nil && name != natsName {
			if a.known, err = c.links.peer(name, a.own); err != nil {
				return err
			}
			if a.raftKnown, err = c.links.peer(name, a.raft); err != nil {
				return err
			}
		}
		c.addresses[name] = a
		if name != natsName {
			if a.nats, err = c.natsAddress(name); err != nil {
				return err
			}
			c.addresses[name] = a
		}
	}
	return nil
}

// natsAddress is where a process is told to find NATS.
func (c *Cluster) natsAddress(name string) (string, error) {
	own := c.addresses[natsName].own
	if c.links == nil {
		return own, nil
	}
	return c.links.nats(name, own)
}

func (c *Cluster) natsURL(name string) (string, error) {
	address, err := c.natsAddress(name)
	return "nats://" + address, err
}

const (
	host      = "127.0.0.1"
	firstPort = 10000
	tries     = 1000
)

// given are the ports handed out by this process, each once: whoever got one may
// not listen on it yet.
var given sync.Map

// freeAddress is an address that nobody listens on. Its port is below those that
// the system gives to connections, so that nobody takes it while the process that
// it belongs to is down.
func freeAddress() (string, error) {
	end := firstEphemeral()
	for range tries {
		port := firstPort + rand.IntN(end-firstPort)
		if _, before := given.LoadOrStore(port, true); before {
			continue
		}
		address := net.JoinHostPort(host, strconv.Itoa(port))
		if l, err := net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("no free port of %s between %d and %d: end what uses them", host, firstPort, end)
}

// firstEphemeral is the first port that the system chooses by itself.
func firstEphemeral() int {
	const usual = 32768
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usual
	}
	fields := strings.Fields(string(text))
	if len(fields) == 0 {
		return usual
	}
	first, err := strconv.Atoi(fields[0])
	if err != nil || first < firstPort+tries {
		return usual
	}
	return first
}

// errNoLinks answers what only a cluster with links can do.
var errNoLinks = errors.New("this cluster has no links to cut: start it with Options.Links")
