package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"convoy/api"
)

const (
	// learnEvery is how often a client that is in use asks for the cluster's
	// members, and learnTimeout how long that may take.
	learnEvery, learnTimeout = 10 * time.Second, time.Second
	// mostReplicas bounds the connections that a client keeps: a cluster has a
	// handful of replicas, and few are replaced while a client runs.
	mostReplicas = 64
)

// replicas are those known now: first the ones that Dial was given.
func (c *Client) replicas() []replica { return *c.known.Load() }

// use makes the replicas at these addresses those to ask, with connections to the
// new ones.
func (c *Client) use(addresses []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []replica
	for _, address := range addresses {
		r, ok := c.conns[address]
		if !ok {
			if c.closed || len(c.conns) >= mostReplicas {
				continue
			}
			conn, err := connect(address, c.dialer)
			if err != nil {
				return err
			}
			r = replica{address, conn, api.NewJobsClient(conn)}
			c.conns[address] = r
		}
		list = append(list, r)
	}
	c.known.Store(&list)
	return nil
}

// learn takes note of the members that a replica tells of. Those that Dial was
// given stay: where the cluster is seen through other addresses than its own they
// are the only ones that work.
func (c *Client) learn(members []*api.Member) {
	list := slices.Clone(c.named)
	for _, m := range members {
		if m.GetAddress() != "" && !slices.Contains(list, m.GetAddress()) {
			list = append(list, m.GetAddress())
		}
	}
	_ = c.use(list) // an address that is none cannot be used, and the others can
}

// learnNowAndThen asks the replica that just answered who else there is.
func (c *Client) learnNowAndThen(ctx context.Context, r replica) {
	c.mu.Lock()
	due := time.Since(c.learned) >= learnEvery
	if due {
		c.learned = time.Now()
	}
	c.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	if answer, err := api.NewReplicasClient(r.conn).Held(ctx, &api.HeldRequest{}); err == nil {
		c.learn(answer.GetMembers())
	}
}

// KeepUp learns of replicas that are added to the cluster, until ctx ends: for
// those who use Connections for long.
func (c *Client) KeepUp(ctx context.Context) {
	for pause := time.NewTicker(learnEvery); ; {
		for _, r := range c.replicas() {
			one, cancel := context.WithTimeout(ctx, learnTimeout)
			answer, err := api.NewReplicasClient(r.conn).Held(one, &api.HeldRequest{})
			cancel()
			if err == nil {
				c.learn(answer.GetMembers())
				break
			}
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// Cluster returns how the cluster is.
func (c *Client) Cluster(ctx context.Context) (*api.ClusterStatus, error) {
	return c.cluster(ctx, c.timeout, func(ctx context.Context, jobs api.JobsClient) (*api.ClusterStatus, error) {
		return jobs.Cluster(ctx, &api.ClusterRequest{})
	})
}

// changeTimeout is how long a change of the cluster may take at least: a leader
// that goes hands over first.
const changeTimeout = 30 * time.Second

// AddReplica makes a replica a member that joins; it votes once it is ready.
func (c *Client) AddReplica(ctx context.Context, id, address, raftAddress string) (*api.ClusterStatus, error) {
	return c.cluster(ctx, max(changeTimeout, c.timeout), func(ctx context.Context, jobs api.JobsClient) (*api.ClusterStatus, error) {
		return jobs.AddReplica(ctx, &api.AddReplicaRequest{Id: id, Address: address, RaftAddress: raftAddress})
	})
}

// RemoveReplica ends a membership.
func (c *Client) RemoveReplica(ctx context.Context, id string) (*api.ClusterStatus, error) {
	return c.cluster(ctx, max(changeTimeout, c.timeout), func(ctx context.Context, jobs api.JobsClient) (*api.ClusterStatus, error) {
		return jobs.RemoveReplica(ctx, &api.RemoveReplicaRequest{Id: id})
	})
}

// TransferLeader hands leadership to the voter id, or with "" to the fittest one.
func (c *Client) TransferLeader(ctx context.Context, id string) (*api.ClusterStatus, error) {
	now, err := c.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	if now.GetLeader() == "" {
		return nil, fmt.Errorf("the cluster has no leader to take over from: see `coordinator cluster status`")
	}
	return c.cluster(ctx, max(changeTimeout, c.timeout), func(ctx context.Context, jobs api.JobsClient) (*api.ClusterStatus, error) {
		return jobs.TransferLeader(ctx, &api.TransferLeaderRequest{Id: id, From: now.GetLeader()})
	})
}

// cluster makes a call that answers with the cluster's status, and learns from it.
func (c *Client) cluster(ctx context.Context, limit time.Duration, do func(context.Context, api.JobsClient) (*api.ClusterStatus, error)) (*api.ClusterStatus, error) {
	var s *api.ClusterStatus
	err := c.call(ctx, limit, func(ctx context.Context, jobs api.JobsClient) (err error) {
		s, err = do(ctx, jobs)
		return err
	})
	var members []*api.Member
	for _, r := range s.GetReplicas() {
		members = append(members, &api.Member{Address: r.GetAddress()})
	}
	if err == nil {
		c.learn(members)
	}
	return s, err
}
