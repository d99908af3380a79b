// Package local runs clusters of real processes on this machine: a NATS server,
// coordinators and workers, each a process of its own with a folder, a log file
// and ports that were free.
//
// It promises that none of them outlives the process that started them, however
// that ends, and that Close has waited for all. Processes can be killed, stopped,
// continued and started again under their names: nats, r1 to rN, w1 to wN. With
// Links every address that they know of each other is a proxy's in this process
// (package link), so that a process can be cut off from others and its messages
// changed; nothing of that is in the processes themselves.
package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"convoy/client"
)

// Options say what to start.
type Options struct {
	Replicas int // coordinators, 1 to 9; 0 means 1
	Workers  int // 0 to 256
	Threads  int // of each worker; 0 means 1

	// Pin gives worker i cores of its own, as many as it has threads; workers
	// that find none left share.
	Pin bool

	// Links puts proxies between the processes, see Cut and Messages.
	Links bool
	// Messages returns a filter for one direction of a connection of the process
	// with that name to NATS, used with Links; nil: messages pass.
	Messages Messages

	Coordinator string // path of the binary; unset: this process's own
	Worker      string // path of the binary; unset: see FindWorker

	// Dir holds a folder and a log for each process, and is made if there is none.
	// Unset: a new folder, which Close removes unless a process failed or Keep was
	// called.
	Dir string

	// Environment adds variables, as NAME=value, to those of the process with
	// that name; nil: none. Those of this process that begin with CONVOY_ are
	// not handed on, since they set flags.
	Environment func(name string) []string
	// WorkerFlags are added to each worker's command line.
	WorkerFlags []string
}

const (
	natsName = "nats"
	maxNodes = 9   // coordinators
	maxCrew  = 256 // workers
)

// Cluster is a running cluster. Its methods may be called from several
// goroutines, but those that start and end one process from one at a time.
type Cluster struct {
	o         Options
	temporary bool
	client    *client.Client
	links     *links // nil without

	mu        sync.Mutex
	keep      bool
	processes map[string]*process
	replicas  []string
	workers   []string
	addresses map[string]addresses // of the replicas and of NATS
}

// Start starts all processes and waits until they work together, see WaitReady.
// After an error nothing runs, and the error names the folder that is left.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &Cluster{o: o, processes: map[string]*process{}, addresses: map[string]addresses{}}
	if c.o.Dir == "" {
		c.temporary = true
		if c.o.Dir, err = os.MkdirTemp("", "convoy-cluster-"); err != nil {
			return nil, fmt.Errorf("folder of the cluster: %w", err)
		}
	} else if err := os.MkdirAll(c.o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder of the cluster: %w; give one that this user may write", err)
	}
	if err := c.start(ctx); err != nil {
		if errors.Is(err, context.Canceled) { // nobody wants to know why
			return nil, errors.Join(err, c.Close())
		}
		c.Keep()
		return nil, errors.Join(fmt.Errorf("local cluster: %w; the logs are in %s", err, c.o.Dir), c.Close())
	}
	return c, nil
}

func (o *Options) check() (err error) {
	o.Replicas, o.Threads = max(o.Replicas, 1), max(o.Threads, 1)
	if o.Replicas > maxNodes || o.Workers < 0 || o.Workers > maxCrew || o.Threads > 1024 {
		return fmt.Errorf("a cluster of %d replicas and %d workers with %d threads: give 1 to %d, 0 to %d and 1 to 1024",
			o.Replicas, o.Workers, o.Threads, maxNodes, maxCrew)
	}
	if o.Coordinator == "" {
		if o.Coordinator, err = os.Executable(); err != nil {
			return fmt.Errorf("this program's own path: %w", err)
		}
	}
	if o.Worker == "" && o.Workers > 0 {
		if o.Worker, err = FindWorker(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) start(ctx context.Context) error {
	names := []string{natsName}
	for i := range c.o.Replicas {
		c.replicas = append(c.replicas, fmt.Sprintf("r%d", i+1))
	}
	if err := c.assign(append(names, c.replicas...)); err != nil {
		return err
	}
	if err := c.run(natsName, c.o.Coordinator, "nats", "--listen", c.addresses[natsName].own); err != nil {
		return err
	}
	if err := c.waitListening(ctx, natsName, c.addresses[natsName].own); err != nil {
		return err
	}
	var own []string
	for _, id := range c.replicas {
		if err := c.run(id, c.o.Coordinator, c.serveFlags(id)...); err != nil {
			return err
		}
		own = append(own, c.addresses[id].own)
	}
	var err error
	if c.client, err = client.Dial(strings.Join(own, ","), client.Options{}); err != nil {
		return err
	}
	for range c.o.Workers {
		if _, err := c.AddWorker(); err != nil {
			return err
		}
	}
	return c.WaitReady(ctx)
}

// AddWorker starts one more worker and returns its name.
func (c *Cluster) AddWorker() (string, error) {
	if c.o.Worker == "" {
		path, err := FindWorker()
		if err != nil {
			return "", err
		}
		c.o.Worker = path
	}
	c.mu.Lock()
	id := fmt.Sprintf("w%d", len(c.workers)+1)
	c.workers = append(c.workers, id)
	c.mu.Unlock()
	nats, err := c.natsURL(id)
	if err != nil {
		return "", err
	}
	var replicas []string
	for _, r := range c.replicas {
		replicas = append(replicas, c.addresses[r].known)
	}
	flags := []string{
		"--id", id, "--addr", strings.Join(replicas, ","), "--nats", nats,
		"--threads", fmt.Sprint(c.o.Threads), "--cache", filepath.Join(c.o.Dir, id),
	}
	return id, c.run(id, c.o.Worker, append(flags, c.o.WorkerFlags...)...)
}

func (c *Cluster) serveFlags(id string) []string {
	var peers []string
	for _, r := range c.replicas {
		a := c.addresses[r]
		peers = append(peers, fmt.Sprintf("%s=%s/%s", r, a.known, a.raftKnown))
	}
	a := c.addresses[id]
	flags := []string{
		"serve", "--id", id, "--data", filepath.Join(c.o.Dir, id), "--listen", a.own,
		"--nats", "nats://" + a.nats,
	}
	if len(c.replicas) > 1 {
		flags = append(flags, "--raft-listen", a.raft, "--peers", strings.Join(peers, ","))
	} else {
		flags = append(flags, "--advertise", a.known)
	}
	return flags
}

// Client asks the coordinators, past all proxies. Close closes it.
func (c *Cluster) Client() *client.Client { return c.client }

// Dir is the folder with everything that the processes wrote.
func (c *Cluster) Dir() string { return c.o.Dir }

// Replicas are the names of the coordinators, running or not.
func (c *Cluster) Replicas() []string { return slices.Clone(c.replicas) }

// Workers are the names of the workers, running or not.
func (c *Cluster) Workers() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.workers)
}

// Addresses are those of the coordinators' API, host:port with commas between.
func (c *Cluster) Addresses() string {
	var own []string
	for _, r := range c.replicas {
		own = append(own, c.addresses[r].own)
	}
	return strings.Join(own, ",")
}

// Keep keeps a temporary folder beyond Close.
func (c *Cluster) Keep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep = true
}

// Close ends all processes at once, waits for them and removes a temporary
// folder, unless Keep was called or a process had ended by itself.
func (c *Cluster) Close() error {
	var errs []error
	if c.client != nil {
		errs = append(errs, c.client.Close())
	}
	c.mu.Lock()
	all, keep := make([]*process, 0, len(c.processes)), c.keep
	for _, p := range c.processes {
		all = append(all, p)
	}
	c.mu.Unlock()
	for _, p := range all {
		keep = keep || p.fell()
		p.kill()
	}
	for _, p := range all {
		<-p.ended
	}
	if c.links != nil {
		errs = append(errs, c.links.close())
	}
	if c.temporary && !keep {
		errs = append(errs, os.RemoveAll(c.o.Dir))
	}
	return errors.Join(errs...)
}

// Leader waits for a coordinator that leads and returns its name.
func (c *Cluster) Leader(ctx context.Context) (string, error) {
	var id string
	err := c.await(ctx, "coordinator that leads", func(ctx context.Context) (bool, string) {
		s, err := c.client.Cluster(ctx)
		if err != nil {
			return false, err.Error()
		}
		id = s.GetLeader()
		return id != "" && c.Running(id), "it leads: " + id
	})
	return id, err
}

// WaitReady waits until one coordinator leads and all processes that run are in
// touch: coordinators answer and hear NATS, workers have said hello. A process
// that has ended by itself is an error.
func (c *Cluster) WaitReady(ctx context.Context) error {
	return c.await(ctx, "complete cluster", func(ctx context.Context) (bool, string) {
		s, err := c.client.Cluster(ctx)
		if err != nil {
			return false, err.Error()
		}
		if s.GetLeader() == "" {
			return false, "nobody leads"
		}
		for _, r := range s.GetReplicas() {
			if c.Running(r.GetId()) && (!r.GetReachable() || !r.GetNats()) {
				return false, fmt.Sprintf("%s: %s", r.GetId(), r.GetProblem())
			}
		}
		seen := map[string]bool{}
		for _, w := range s.GetWorkers() {
			seen[w.GetId()] = true
		}
		for _, id := range c.Workers() {
			if c.Running(id) && !seen[id] {
				return false, id + " has not said hello"
			}
		}
		return true, ""
	})
}

// lookEvery is the time between two looks at what is waited for.
const lookEvery = 20 * time.Millisecond

// await looks until there is what is waited for, a process ends by itself, or ctx
// ends. look says what is in the way.
func (c *Cluster) await(ctx context.Context, what string, look func(context.Context) (bool, string)) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		there, why := look(ctx)
		if err := c.Fallen(); err != nil {
			return err
		}
		if there {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no %s (%s): %w", what, why, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
