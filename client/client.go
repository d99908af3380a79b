// Package client talks to a cluster: the Jobs service with Go's types, typed
// errors and retries.
//
// One replica is enough to reach a cluster, since replicas pass calls on to
// their leader; where several are named they are tried in turn. A client that lives
// for long learns of replicas that are added later (members.go). Every call may
// therefore be repeated, and every call of the service is safe to repeat: a job
// is named by its request ID and a shard by its content. So a call waits out an
// election or a restarting replica, and gives up after a time limit with a
// sentence that names the addresses and says what to do.
package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"convoy/api"
)

const (
	// DefaultPort is the port of the API, added to addresses without one.
	DefaultPort = "7070"
	// DefaultAddress is where a client looks for a cluster unless told.
	DefaultAddress = "127.0.0.1:" + DefaultPort
	// AddressVariable is the environment variable that names another.
	AddressVariable = "CONVOY_ADDR"
	// DefaultTimeout is how long a call waits for a replica that answers.
	DefaultTimeout = 10 * time.Second
)

const (
	// maxMessage bounds what a client receives in one message, in bytes.
	maxMessage = 64 << 20
	// connectTimeout bounds one attempt to reach one replica.
	connectTimeout = 2 * time.Second
	// retryFirst and retryMost bound the pause after all replicas were tried.
	retryFirst, retryMost = 50 * time.Millisecond, time.Second
	// keepaliveTime is after how much silence a replica is asked whether it is
	// there, keepaliveTimeout how long it may take to say so.
	keepaliveTime, keepaliveTimeout = 10 * time.Second, 5 * time.Second
	// uploadTimeout is the time limit of one shard, which a majority of replicas
	// must have on disk before the call returns.
	uploadTimeout = time.Minute
)

// Options are a client's settings.
type Options struct {
	// Dialer opens connections; nil means TCP.
	Dialer func(ctx context.Context, address string) (net.Conn, error)
	// Timeout is how long a call waits for a replica that answers; 0 means
	// DefaultTimeout.
	Timeout time.Duration
}

// Client is a connection to a cluster, safe for concurrent use.
type Client struct {
	timeout time.Duration
	dialer  func(context.Context, string) (net.Conn, error)
	known   atomic.Pointer[[]replica]
	current atomic.Pointer[string] // address of the replica that answered last

	mu      sync.Mutex
	conns   map[string]replica // all ever made, by address
	named   []string           // addresses that Dial was given
	learned time.Time          // when replicas were last asked for others
	closed  bool
}

type replica struct {
	address string
	conn    *grpc.ClientConn
	jobs    api.JobsClient
}

// Dial prepares a client of the replicas at addresses, a comma-separated list of
// host:port (or host, for DefaultPort). It opens no connection: a cluster that
// is out of reach is found by the first call.
func Dial(addresses string, o Options) (*Client, error) {
	list, err := Addresses(addresses)
	if err != nil {
		return nil, err
	}
	c := &Client{timeout: o.Timeout, dialer: o.Dialer, conns: map[string]replica{}, named: list}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	c.current.Store(&list[0])
	if err := c.use(list); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func connect(address string, dialer func(context.Context, string) (net.Conn, error)) (*grpc.ClientConn, error) {
	if dialer == nil {
		dialer = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}
	}
	// passthrough: the name is looked up at every attempt to connect.
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dialer),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: retryFirst, Multiplier: 1.6, Jitter: 0.2, MaxDelay: retryMost},
			MinConnectTimeout: connectTimeout,
		}),
		// A stream may be silent for long; a replica that hangs is not.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}))
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	return conn, nil
}

// Connections are the gRPC connections to the replicas known now, one each, for
// calls of other services. They live as long as the client.
func (c *Client) Connections() []grpc.ClientConnInterface {
	known := c.replicas()
	list := make([]grpc.ClientConnInterface, len(known))
	for i, r := range known {
		list[i] = r.conn
	}
	return list
}

// Close ends all calls under way.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var errs []error
	for _, r := range c.conns {
		errs = append(errs, r.conn.Close())
	}
	return errors.Join(errs...)
}

// Addresses reads a comma-separated list of host:port (or host) and adds the default port where none is.
func Addresses(addresses string) ([]string, error) {
	var list []string
	for a := range strings.SplitSeq(addresses, ",") {
		a = strings.TrimSpace(a)
		if a == "" {
			continue
		}
		host, port, err := net.SplitHostPort(a)
		if err != nil { // no port, or an IPv6 address without brackets
			host, port = strings.Trim(a, "[]"), DefaultPort
			if strings.Contains(host, ":") && net.ParseIP(host) == nil {
				return nil, &AddressError{a}
			}
		}
		if port == "" {
			return nil, &AddressError{a}
		}
		list = append(list, net.JoinHostPort(host, port))
	}
	if len(list) == 0 {
		return nil, &AddressError{addresses}
	}
	return list, nil
}

// call carries out do on one replica after the other until one answers, limit
// has passed or ctx ends. do must be safe to repeat.
func (c *Client) call(ctx context.Context, limit time.Duration, do func(context.Context, api.JobsClient) error) error {
	return c.ask(ctx, limit, func(ctx context.Context, r replica) error { return do(ctx, r.jobs) })
}

func (c *Client) ask(ctx context.Context, limit time.Duration, do func(context.Context, replica) error) error {
	a := c.attempts(limit)
	for {
		r := a.replica()
		attempt, cancel := context.WithTimeout(ctx, a.share())
		err := do(attempt, r)
		cancel()
		if err == nil {
			c.current.Store(&r.address)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !repeatable(err) {
			return sentence(err)
		}
		if err := a.next(ctx, err); err != nil {
			return err
		}
	}
}

// attempts goes round the replicas, with a growing pause after each round.
type attempts struct {
	c        *Client
	replicas []replica
	index    int
	tried    int // since the last answer
	limit    time.Duration
	deadline time.Time
	reasons  []string // why each replica gave no answer, by replica
}

func (c *Client) attempts(limit time.Duration) *attempts {
	a := &attempts{c: c, limit: limit}
	a.begin(*c.current.Load())
	return a
}

// begin starts the round at the replica at an address, among those known now.
func (a *attempts) begin(address string) {
	a.replicas = a.c.replicas()
	a.index = max(0, slices.IndexFunc(a.replicas, func(r replica) bool { return r.address == address }))
	a.tried = 0
	a.deadline = time.Now().Add(a.limit)
	a.reasons = make([]string, len(a.replicas))
}

func (a *attempts) replica() replica { return a.replicas[a.index] }

// share is how long the current replica may take to answer: what is left, but
// half of it where there are others to turn to.
func (a *attempts) share() time.Duration {
	left := time.Until(a.deadline)
	if len(a.replicas) > 1 {
		left /= 2
	}
	return left
}

// answered starts the time limit anew: somebody is there.
func (a *attempts) answered() {
	r := a.replica()
	a.c.current.Store(&r.address)
	a.begin(r.address)
}

// next goes on to the next replica, after a pause where all were tried. It
// returns an error once the time limit has passed or ctx has ended.
func (a *attempts) next(ctx context.Context, reason error) error {
	a.reasons[a.index] = text(reason)
	a.index = (a.index + 1) % len(a.replicas)
	a.tried++
	left := time.Until(a.deadline)
	if a.tried%len(a.replicas) != 0 && left > 0 {
		return nil
	}
	pause := min(retryFirst<<min(a.tried/len(a.replicas), 5), retryMost)
	if left <= pause {
		return a.unreachable()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *attempts) unreachable() error {
	e := &UnreachableError{Limit: a.limit}
	for i, r := range a.replicas {
		e.Addresses = append(e.Addresses, r.address)
		e.Reasons = append(e.Reasons, a.reasons[i])
	}
	return e
}
