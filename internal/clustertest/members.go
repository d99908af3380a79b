package clustertest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"convoy/api"
	"convoy/client"
	"convoy/coordinator"
	"convoy/local/link"
	"convoy/ps"
)

// AddReplica adds a replica to the running cluster, starts it on an empty disk, and
// returns its name.
func (c *Cluster) AddReplica() string {
	c.t.Helper()
	id := fmt.Sprintf("r%d", len(c.peers)+len(c.joined)+1)
	apiListener, raftListener := c.listen("127.0.0.1:0"), c.listen("127.0.0.1:0")
	p := coordinator.Peer{ID: id, Address: apiListener.Addr().String(), RaftAddress: raftListener.Addr().String()}
	c.change("add "+id, func(ctx context.Context) (*api.ClusterStatus, error) {
		return c.client.AddReplica(ctx, id, p.Address, p.RaftAddress)
	})
	c.joined[id] = p
	c.startReplica(c.joining(p), apiListener, raftListener)
	return id
}

// joining is the configuration of a replica that joins by asking any that runs.
func (c *Cluster) joining(p coordinator.Peer) coordinator.Config {
	cfg := coordinator.Config{ID: p.ID, Advertise: p.Address, Peers: []coordinator.Peer{p}}
	for id, running := range c.replicas {
		if id != p.ID {
			cfg.Join = append(cfg.Join, running.server.Addr())
		}
	}
	return cfg
}

// WaitVoter waits until a replica that was added has its vote.
func (c *Cluster) WaitVoter(id string) {
	c.t.Helper()
	c.eventually("vote of "+id, func(ctx context.Context) bool {
		s, err := c.client.Cluster(ctx)
		return err == nil && slices.ContainsFunc(s.Replicas, func(r *api.ReplicaStatus) bool { return r.Id == id && r.Stage == "voter" })
	})
}

// WaitLevel waits until a replica holds the job's state about as far as the leader
// does, so that the next one may be taken away; it returns at once when the job has
// ended.
func (c *Cluster) WaitLevel(id, job string) {
	c.t.Helper()
	c.eventually("state of "+id, func(ctx context.Context) bool {
		s, err := c.client.Cluster(ctx)
		if err != nil {
			return false
		}
		var own, most uint64
		for _, r := range s.Replicas {
			if most = max(most, r.Step); r.Id == id && r.Job == job {
				own = r.Step
			}
		}
		j, err := c.client.Status(ctx, job)
		return err == nil && (own > 0 && own+8 >= most || client.Ended(j.Phase))
	})
}

// RemoveReplica removes a replica from the cluster. If it runs it must stop by
// itself and say why.
func (c *Cluster) RemoveReplica(id string) {
	c.t.Helper()
	c.change("remove "+id, func(ctx context.Context) (*api.ClusterStatus, error) { return c.client.RemoveReplica(ctx, id) })
	if p := c.replicas[id]; p != nil {
		c.eventually("end of "+id, func(context.Context) bool {
			select {
			case <-p.ended:
				return true
			default:
				return false
			}
		})
		if !errors.Is(p.err, ps.ErrRemoved) {
			c.t.Errorf("removed replica %s ended with %v", id, p.err)
		}
		delete(c.replicas, id)
	}
}

// TransferLeader hands leadership over to a replica, or with "" to any, and returns
// who leads then.
func (c *Cluster) TransferLeader(id string) string {
	c.t.Helper()
	c.change("hand leadership to "+id, func(ctx context.Context) (*api.ClusterStatus, error) { return c.client.TransferLeader(ctx, id) })
	return c.Leader()
}

func (c *Cluster) change(what string, do func(context.Context) (*api.ClusterStatus, error)) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := do(ctx)
	c.must(err, "%s", what)
}

// natsFor is where a replica reaches NATS.
func (c *Cluster) natsFor(id string) string {
	c.t.Helper()
	if !c.cfg.Links {
		return c.nats.ClientURL()
	}
	l := c.links[id]
	if l == nil {
		var err error
		l, err = link.Listen("127.0.0.1:0", trimScheme(c.nats.ClientURL()), link.Options{})
		c.must(err, "link of %s to NATS", id)
		c.links[id] = l
	}
	return "nats://" + l.Addr()
}

// CutNATS takes NATS away from a replica, and MendNATS gives it back.
func (c *Cluster) CutNATS(id string) { c.links[id].Set(func(string) link.Fate { return link.Cut }) }

// MendNATS gives a replica NATS back.
func (c *Cluster) MendNATS(id string) { c.links[id].Set(func(string) link.Fate { return link.Pass }) }

// WaitLeaderBut waits until another replica than id leads.
func (c *Cluster) WaitLeaderBut(id string) {
	c.t.Helper()
	c.eventually("leader but "+id, func(context.Context) bool { return c.Leader() != id })
}
