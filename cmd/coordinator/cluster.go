package main

import (
	"github.com/spf13/cobra"

	"convoy/client"
	"convoy/cmd/internal/cli"
)

func clusterCommand() *cobra.Command {
	var r remote
	c := cli.Group("cluster", "Look at a cluster",
		"These commands show the coordinators and workers of a cluster.",
		clusterStatusCommand(&r))
	r.flags(c, client.DefaultTimeout)
	return c
}

func clusterStatusCommand(r *remote) *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:     "status",
		Short:   "Show coordinators and workers",
		Long:    "Shows who leads, which coordinators are reachable and connected to NATS, and what each worker computes.",
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
