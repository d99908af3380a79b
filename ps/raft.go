package ps

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/zap"
)

// Server is a member of the Raft group.
type Server struct {
	ID          string
	RaftAddress string // host:port of its Raft transport
	Address     string // host:port of its gRPC API
}

// RaftConfig says how a replica takes part in the Raft group.
type RaftConfig struct {
	// Servers are the voters that an empty log begins with, this replica among
	// them. A log that has begun knows its members by itself.
	Servers []Server
	// Join leaves an empty log as it is: a cluster that exists adds this replica
	// to its own.
	Join bool
	// Listener takes the connections of other replicas. Nil means that the
	// group is this replica alone, and that no socket is opened.
	Listener net.Listener
	// Election is how long a follower waits for a leader before it stands for
	// election itself; 0 means 500 ms, or 50 ms for a replica without Listener.
	Election time.Duration
}

// segmentBytes is the size that raft-wal preallocates its segments with. The
// entries are under 4 kB, so that its default of 64 MB would be waste.
const segmentBytes = 1 << 20

// ErrNotLeader says that another replica leads.
var ErrNotLeader = errors.New("this replica does not lead")

// raftNode is the Raft node with what it stores.
type raftNode struct {
	*raft.Raft
	store     *logStore
	transport interface{ Close() error }
}

// startRaft opens the log in dir and joins the group; an empty log begins with
// the configured voters. A log that is damaged is an error; failed is told when
// the disk fails later.
func startRaft(dir, id string, cfg RaftConfig, fsm raft.FSM, log *zap.Logger, failed func(error)) (*raftNode, error) {
	logger := newHCLog(log.Named("raft"))
	wal := filepath.Join(dir, "raft")
	if err := os.MkdirAll(wal, 0o755); err != nil {
		return nil, fmt.Errorf("folder of the Raft log: %w", err)
	}
	store, err := openLog(wal, logger, failed)
	if err != nil {
		return nil, damagedRaft(dir, id, fmt.Errorf("open the Raft log in %s: %w", wal, err))
	}
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, 2, logger.Named("snapshot"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the Raft snapshots in %s: %w", dir, err), store.Close())
	}
	snapshots := &snapshotStore{files, dir, failed}
	if err := store.covers(snapshots); err != nil {
		return nil, errors.Join(damagedRaft(dir, id, err), store.Close())
	}
	transport, closer := raftTransport(id, cfg, logger)
	n := &raftNode{store: store, transport: closer}
	if err := bootstrap(id, cfg, store, snapshots, transport); err != nil {
		return nil, errors.Join(err, closer.Close(), store.Close())
	}
	n.Raft, err = raft.NewRaft(raftSettings(id, cfg, logger), fsm, store, store, snapshots, transport)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start Raft: %w", err), closer.Close(), store.Close())
	}
	return n, nil
}

// damagedRaft says what to do about what is not as it was written. A replica must
// not begin anew under the name that it voted with: it might vote otherwise.
func damagedRaft(dir, id string, err error) error {
	return fmt.Errorf("%w; if another process has it, stop that one; if the disk is damaged, take the replica out of its cluster "+
		"(coordinator cluster remove %s), remove the data folder %s, and join again; a replica alone has what a copy of the folder has", err, id, dir)
}

func raftSettings(id string, cfg RaftConfig, logger *hcLog) *raft.Config {
	election := cfg.Election
	if election == 0 {
		election = 500 * time.Millisecond
		if cfg.Listener == nil {
			election = 50 * time.Millisecond
		}
	}
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(id)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = election, election, election/2
	c.CommitTimeout = 20 * time.Millisecond
	c.Logger = logger
	c.NoLegacyTelemetry = true
	c.ShutdownOnRemove = false // a removed replica stops in its own order
	return c
}

func bootstrap(id string, cfg RaftConfig, store *logStore, snapshots *snapshotStore, transport raft.Transport) error {
	has, err := raft.HasExistingState(store, store, snapshots)
	if err != nil {
		return fmt.Errorf("read the Raft log: %w", err)
	}
	if has || cfg.Join {
		return nil
	}
	var group raft.Configuration
	for _, s := range cfg.Servers {
		address := addressOf(s)
		if s.ID == id {
			address = transport.LocalAddr()
		}
		group.Servers = append(group.Servers, raft.Server{ID: raft.ServerID(s.ID), Address: address})
	}
	boot := raft.DefaultConfig()
	boot.LocalID = raft.ServerID(id)
	boot.Logger = newHCLog(zap.NewNop())
	if err := raft.BootstrapCluster(boot, store, store, snapshots, transport, group); err != nil {
		return fmt.Errorf("begin the Raft group: %w", err)
	}
	return nil
}

// raftTransport runs over TCP, or in memory for a replica alone.
func raftTransport(id string, cfg RaftConfig, logger *hcLog) (raft.Transport, interface{ Close() error }) {
	self := cfg.self(id)
	if cfg.Listener == nil {
		_, t := raft.NewInmemTransport(addressOf(self))
		return t, t
	}
	t := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:          stream{cfg.Listener, address(addressOf(self))},
		MaxPool:         3,
		MaxRPCsInFlight: 1, // hashicorp/raft #612: a full pipeline can deadlock
		Timeout:         2 * time.Second,
		Logger:          logger,
	})
	return t, tcpTransport{t}
}

// self is this replica as the others know it.
func (c RaftConfig) self(id string) Server {
	self := Server{ID: id}
	for _, s := range c.Servers {
		if s.ID == id {
			self = s
		}
	}
	if self.RaftAddress == "" && c.Listener != nil {
		self.RaftAddress = c.Listener.Addr().String()
	}
	return self
}

// tcpTransport closes what Raft's transport leaves open: its connections to
// others.
type tcpTransport struct{ *raft.NetworkTransport }

func (t tcpTransport) Close() error {
	err := t.NetworkTransport.Close()
	t.CloseStreams()
	return err
}

// stream is Raft's view of TCP, whose addresses are those of addressOf. Their
// hosts may be names, which are resolved at every dial.
type stream struct {
	net.Listener
	advertised address
}

func (s stream) Addr() net.Addr { return s.advertised }

func (s stream) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", serverOf(raft.Server{Address: to}).RaftAddress, timeout)
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// close leaves the group at once, without handing anything over.
func (n *raftNode) close() error {
	return errors.Join(n.Shutdown().Error(), n.transport.Close(), n.store.Close())
}
