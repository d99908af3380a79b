package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// maxMessage bounds one gRPC message in bytes: a shard of about 4 MB and a
// generous rest.
const maxMessage = 8 << 20

// member is one replica of the cluster.
type member struct {
	id, address string // address is of its gRPC API
	voter       bool   // counts in majorities
}

// peers holds one connection to each replica, made at its first use.
type peers struct {
	dial func(ctx context.Context, address string) (net.Conn, error)

	mu     sync.Mutex
	conns  map[string]*grpc.ClientConn
	closed bool
}

// conn returns the connection to address. It dials when the first call is made,
// so an address out of reach shows there.
func (p *peers) conn(address string) (grpc.ClientConnInterface, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("connect to %s: this replica stops", address)
	}
	if c, ok := p.conns[address]; ok {
		return c, nil
	}
	// passthrough: the name is looked up at every attempt to connect, so a
	// container that comes back at another address is found at once; gRPC's own
	// resolver asks again after half a minute only.
	c, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(p.dial),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	if p.conns == nil {
		p.conns = make(map[string]*grpc.ClientConn)
	}
	p.conns[address] = c
	return c, nil
}

func (p *peers) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, c := range p.conns {
		errs = append(errs, c.Close())
	}
	p.conns = nil
	return errors.Join(errs...)
}

// members lists the cluster's replicas by id, this one among them, as the log has
// them now.
func (s *Server) members() []member {
	var list []member
	here := false
	for _, m := range s.replica.Members() {
		here = here || m.ID == s.cfg.ID
		list = append(list, member{m.ID, m.Address, m.Voter})
	}
	if !here { // not added yet, or removed: it still has what it has
		list = append(list, member{s.cfg.ID, s.cfg.Advertise, false})
	}
	return list
}

// others is members without this replica.
func (s *Server) others() []member {
	return slices.DeleteFunc(s.members(), func(m member) bool { return m.id == s.cfg.ID })
}
