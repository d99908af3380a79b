package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/test/bufconn"

	"convoy/bus"
	"convoy/bus/embedded"
	"convoy/metrics"
	"convoy/optim"
)

// Config sets up a Server.
type Config struct {
	ID      string // of this replica; unset: "r1"
	Cluster string // unset: "convoy"
	Dir     string // the run folder, which belongs to this process while it runs

	// InProcess makes a cluster of one that opens no socket: gRPC and messages
	// stay in memory, and Listen, RaftListen, Replicas and NATS are not used.
	InProcess bool

	Listen   string       // TCP address of the gRPC API, "127.0.0.1:0" takes any free port
	Listener net.Listener // already open, instead of Listen
	// Advertise is the host:port that others reach the API at. Unset: the one
	// that Replicas gives this replica, or else the listener's, with the
	// machine's name where it listens on all interfaces.
	Advertise string

	RaftListen   string       // TCP address for the other replicas' Raft; unset: a replica alone
	RaftListener net.Listener // already open, instead of RaftListen
	Peers        []Peer       // the replicas that a cluster begins with, the same on each; this one may be left out
	// Join are gRPC addresses of a cluster that this replica is to become a member
	// of, instead of beginning one of its own with Peers. An operator adds it there.
	Join        []string
	Election    time.Duration // how long a follower waits for a leader; 0: as package ps has it
	ChunkFloats int           // floats of a chunk on the wire; 0: as package ps has it

	NATS     []string          // URLs of NATS servers
	Embedded *embedded.Options // run a NATS server in this process, instead of NATS

	LeaderWait time.Duration // how long a call waits for a leader; 0: 5 s
	Log        *zap.Logger   // nil: silence

	Metrics *metrics.Replica // nil: some that nobody sees

	named   bool                                                                   // Advertise was given, not found
	runner  optim.Runner                                                           // shares the replica's arithmetic out
	lacks   func() string                                                          // what else it must have before it votes
	carrier bus.Carrier                                                            // instead of what the above would make
	dial    func(ctx context.Context, address string) (net.Conn, error)            // likewise
	open    func(cfg Config, raftListener net.Listener, p *peers) (replica, error) // nil: a *ps.Replica
}

// Peer is one replica of the cluster.
type Peer struct {
	ID          string
	Address     string // host:port of its gRPC API
	RaftAddress string // host:port of its Raft
}

const (
	defaultID         = "r1"
	defaultCluster    = "convoy"
	defaultLeaderWait = 5 * time.Second
	inProcessAddress  = "in-process"
	inProcessBuffer   = 1 << 20 // bytes
)

// checked fills in defaults and reports the first thing that cannot work.
func (c Config) checked() (Config, error) {
	if c.ID == "" {
		c.ID = defaultID
	}
	if c.Cluster == "" {
		c.Cluster = defaultCluster
	}
	if c.LeaderWait == 0 {
		c.LeaderWait = defaultLeaderWait
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Metrics == nil {
		c.Metrics = metrics.NewReplica()
	}
	if err := bus.CheckName(c.ID); err != nil {
		return c, fmt.Errorf("replica's id: %w", err)
	}
	if err := bus.CheckName(c.Cluster); err != nil {
		return c, fmt.Errorf("cluster's name: %w", err)
	}
	if c.Dir == "" {
		return c, errors.New("no run folder is named: give one that this process may write to")
	}
	if c.InProcess {
		c.Peers = nil
		return c, nil
	}
	c.Peers = slices.Clone(c.Peers)
	alone := !slices.ContainsFunc(c.Peers, func(p Peer) bool { return p.ID != c.ID })
	switch {
	case c.Listener == nil && c.Listen == "":
		return c, errors.New("no address to listen on: give one such as :7070")
	case (!alone || len(c.Join) > 0) && c.RaftListen == "" && c.RaftListener == nil:
		return c, errors.New("no address for Raft, which a cluster of several replicas needs: give one such as :7071")
	case c.carrier == nil && c.Embedded == nil && len(c.NATS) == 0:
		return c, errors.New("no NATS server: give its URL, such as nats://127.0.0.1:4222, or run an embedded one")
	}
	if len(c.Join) > 0 && !alone {
		return c, errors.New("both other replicas to begin a cluster with and one to join: give either")
	}
	for i, p := range c.Peers {
		if err := bus.CheckName(p.ID); err != nil {
			return c, fmt.Errorf("id of a peer: %w", err)
		}
		if slices.ContainsFunc(c.Peers[:i], func(q Peer) bool { return q.ID == p.ID }) {
			return c, fmt.Errorf("replica %s is given twice among the peers: give each an id of its own", p.ID)
		}
		if p.ID != c.ID && (p.Address == "" || p.RaftAddress == "") {
			return c, fmt.Errorf("replica %s lacks an address: give the host:port of its gRPC API and of its Raft", p.ID)
		}
		if p.ID == c.ID && c.Advertise == "" {
			c.Advertise = p.Address
		}
	}
	c.named = c.Advertise != ""
	return c, nil
}

// listen opens a TCP listener; a port in use gets a sentence of its own.
func listen(what, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		_, port, _ := net.SplitHostPort(address) // it was good enough to listen on
		return nil, fmt.Errorf("%s: port %s of %s is in use: stop the process that has it or choose another port", what, port, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: listen on %s: %w: give a host:port of this machine", what, address, err)
	}
	return l, nil
}

// openListeners opens what the configuration asks for and settles the address
// that others use. raft is nil for a replica alone.
func (c *Config) openListeners() (api, raft net.Listener, err error) {
	if c.InProcess {
		memory := bufconn.Listen(inProcessBuffer)
		c.Advertise = inProcessAddress
		c.dial = func(ctx context.Context, _ string) (net.Conn, error) { return memory.DialContext(ctx) }
		return memory, nil, nil
	}
	if c.dial == nil {
		c.dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}
	}
	if api = c.Listener; api == nil {
		if api, err = listen("gRPC API", c.Listen); err != nil {
			return nil, nil, err
		}
	}
	if raft = c.RaftListener; raft == nil && c.RaftListen != "" {
		if raft, err = listen("Raft", c.RaftListen); err != nil {
			return nil, nil, errors.Join(err, api.Close())
		}
	}
	if c.Advertise == "" {
		c.Advertise = reachable(api.Addr().String())
	}
	return api, raft, nil
}

// reachable replaces the host of an address that stands for all interfaces by
// the machine's name.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return address
	}
	name, err := os.Hostname()
	if err != nil || strings.TrimSpace(name) == "" {
		name = "localhost"
	}
	return net.JoinHostPort(name, port)
}
