package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"convoy/api"
	"convoy/client"
	"convoy/cmd/internal/cli"
)

func clusterCommand() *cobra.Command {
	var r remote
	c := cli.Group("cluster", "Look at a cluster and change its coordinators",
		`These commands show the coordinators and workers of a cluster, and change the
coordinators while jobs run. To replace one, add its successor, wait until that
votes, and remove it.`,
		clusterStatusCommand(&r), clusterAddCommand(&r), clusterRemoveCommand(&r), clusterTransferCommand(&r))
	r.flags(c, client.DefaultTimeout)
	return c
}

func clusterStatusCommand(r *remote) *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:   "status",
		Short: "Show coordinators and workers",
		Long: `Shows who leads, which coordinators are reachable and connected to NATS, and what
each worker computes. A coordinator's stage is voter, or on the way there: joining
while it lacks something, which is shown, and ready when the leader is about to
give it a vote.`,
		Example: "  coordinator cluster status --addr 10.0.0.5:7070",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return r.with(func(cl *client.Client) error {
				s, err := cl.Cluster(c.Context())
				if err != nil {
					return err
				}
				if o == jsonOutput {
					return writeJSON(c.OutOrStdout(), clusterOf(s))
				}
				return printCluster(c.OutOrStdout(), s)
			})
		},
	}
	o.flag(c)
	return c
}

// lookEvery is how often a command that waits for the cluster looks at it.
const lookEvery = 200 * time.Millisecond

func clusterAddCommand(r *remote) *cobra.Command {
	var o output
	var wait bool
	c := &cobra.Command{
		Use:   "add ID=HOST:PORT/HOST:PORT",
		Short: "Add a coordinator",
		Long: `Adds a coordinator by its name and the addresses of its gRPC API and its Raft.
Start it with ` + "`coordinator serve --join`" + `, before or after. It follows at first, and
gets a vote by itself once it holds the running job's state, all ledgers, the
newest checkpoints and the data sets. Jobs run on meanwhile.`,
		Example: `  coordinator cluster add d=10.0.0.4:7070/10.0.0.4:7071
  coordinator serve --id d --data d --listen 10.0.0.4:7070 --raft-listen 10.0.0.4:7071 \
      --nats nats://10.0.0.9:4222 --join 10.0.0.1:7070`,
		Args: one("the coordinator's name and addresses, as ID=grpc-host:port/raft-host:port"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := parsePeer("the coordinator to add", args[0])
			if err != nil {
				return err
			}
			return r.with(func(cl *client.Client) error {
				s, err := cl.AddReplica(c.Context(), p.ID, p.Address, p.RaftAddress)
				if err == nil && wait {
					s, err = until(c.Context(), cl, func(s *api.ClusterStatus) bool { return stage(s, p.ID) == "voter" })
				}
				return showCluster(c.OutOrStdout(), o, s, err, func() string {
					if stage(s, p.ID) == "voter" {
						return fmt.Sprintf("coordinator %s votes in cluster %s%s", p.ID, s.GetCluster(), voting(s))
					}
					return fmt.Sprintf("coordinator %s joins cluster %s: start it with --join, and see `coordinator cluster status`", p.ID, s.GetCluster())
				})
			})
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "return once it votes")
	o.flag(c)
	return c
}

func clusterRemoveCommand(r *remote) *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:   "remove ID",
		Short: "Remove a coordinator",
		Long: `Removes a coordinator, which stops by itself if it runs. One that leads hands
leadership over first. What would leave no running majority is refused.`,
		Example: "  coordinator cluster remove c",
		Args:    one("the coordinator's name (see `coordinator cluster status`)"),
		RunE: func(c *cobra.Command, args []string) error {
			id := args[0]
			return r.with(func(cl *client.Client) error {
				s, err := cl.Cluster(c.Context())
				if err == nil && stage(s, id) == "" {
					return fmt.Errorf("there is no coordinator %q in cluster %s: `coordinator cluster status` lists them", id, s.GetCluster())
				}
				if err == nil {
					s, err = cl.RemoveReplica(c.Context(), id)
				}
				return showCluster(c.OutOrStdout(), o, s, err, func() string {
					return fmt.Sprintf("coordinator %s is no member of cluster %s any more%s", id, s.GetCluster(), voting(s))
				})
			})
		},
	}
	o.flag(c)
	return c
}

func clusterTransferCommand(r *remote) *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:   "transfer-leader [ID]",
		Short: "Have another coordinator lead",
		Long: `Hands leadership to the coordinator that is named, or to the one that is fittest:
connected to NATS, and furthest with the running job. Jobs run on.`,
		Example: "  coordinator cluster transfer-leader b",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id := ""
			if len(args) == 1 {
				id = args[0]
			}
			return r.with(func(cl *client.Client) error {
				s, err := cl.TransferLeader(c.Context(), id)
				if err == nil {
					s, err = until(c.Context(), cl, func(s *api.ClusterStatus) bool { return s.GetLeader() != "" })
				}
				return showCluster(c.OutOrStdout(), o, s, err, func() string {
					return fmt.Sprintf("coordinator %s leads cluster %s in term %d", s.GetLeader(), s.GetCluster(), s.GetTerm())
				})
			})
		},
	}
	o.flag(c)
	return c
}

// stage is how far a coordinator is on its way to a vote, "" if it is no member.
func stage(s *api.ClusterStatus, id string) string {
	for _, r := range s.GetReplicas() {
		if r.GetId() == id {
			return r.GetStage()
		}
	}
	return ""
}

// voting says what a small number of voters means.
func voting(s *api.ClusterStatus) string {
	voters := slices.DeleteFunc(slices.Clone(s.GetReplicas()), func(r *api.ReplicaStatus) bool { return r.GetStage() != "voter" })
	switch len(voters) {
	case 1:
		return ": one votes, and what is committed is as durable as its disk"
	case 2:
		return ": two vote, and the loss of either stops the jobs until it is back"
	}
	return fmt.Sprintf(": %d vote, of which %d may be lost", len(voters), (len(voters)-1)/2)
}

// until looks at the cluster until it is as wanted.
func until(ctx context.Context, cl *client.Client, wanted func(*api.ClusterStatus) bool) (*api.ClusterStatus, error) {
	for pause := time.NewTicker(lookEvery); ; {
		s, err := cl.Cluster(ctx)
		if err != nil || wanted(s) {
			pause.Stop()
			return s, err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, cli.Interruptedf("interrupted: the cluster goes on with it; see `coordinator cluster status`")
		}
	}
}

// showCluster answers a command that changed the cluster.
func showCluster(w io.Writer, o output, s *api.ClusterStatus, err error, sentence func() string) error {
	switch {
	case err != nil:
		return err
	case o == jsonOutput:
		return writeJSON(w, clusterOf(s))
	}
	_, err = fmt.Fprintln(w, sentence())
	return err
}
