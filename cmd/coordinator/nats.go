package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"convoy/bus/embedded"
	"convoy/cmd/internal/cli"
	"convoy/coordinator"
)

func natsCommand() *cobra.Command {
	var listen, logFormat, logLevel string
	c := &cobra.Command{
		Use:   "nats",
		Short: "Be the NATS server of a cluster",
		Long: `Runs a NATS server alone, with the limits that Convoy needs. Coordinators and
workers are given its address with --nats; any nats-server will do instead (see
deploy/nats.conf). It keeps nothing and may be restarted at any time.`,
		Example: "  coordinator nats --listen 10.0.0.9:4222",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := cli.FromEnvironment(c.Flags()); err != nil {
				return err
			}
			host, port, err := hostPort("--listen", listen)
			if err != nil {
				return err
			}
			log, err := coordinator.NewLogger(logFormat, logLevel)
			if err != nil {
				return cli.Usage(err)
			}
			server, err := embedded.Start(embedded.Options{Host: host, Port: port, Name: "nats", Log: log})
			if err != nil {
				return err
			}
			log.Info(fmt.Sprintf("serving NATS at %s", server.ClientURL()))
			<-c.Context().Done()
			server.Shutdown()
			return nil
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:4222", "address to serve on, host:port")
	c.Flags().StringVar(&logFormat, "log-format", "auto", "console, json, or auto: console on a terminal")
	c.Flags().StringVar(&logLevel, "log-level", "info", "debug, info, warn or error")
	return c
}
