package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"convoy/client"
	"convoy/cmd/internal/cli"
)

// remote are the flags of the commands that talk to a cluster.
type remote struct {
	address string
	timeout time.Duration
}

func (r *remote) flags(c *cobra.Command, timeout time.Duration) {
	address := client.DefaultAddress
	if named := os.Getenv(client.AddressVariable); named != "" {
		address = named
	}
	c.PersistentFlags().StringVar(&r.address, "addr", address,
		"coordinators to ask, host:port with commas between; one is enough; "+client.AddressVariable+" sets the default")
	c.PersistentFlags().DurationVar(&r.timeout, "timeout", timeout, "how long to wait for a coordinator that answers")
}

// with calls do with a client of the cluster.
func (r *remote) with(do func(*client.Client) error) error {
	if r.timeout <= 0 {
		return cli.Usagef("--timeout %v: want a time above 0, such as 10s", r.timeout)
	}
	c, err := client.Dial(r.address, client.Options{Timeout: r.timeout})
	if err != nil {
		return err
	}
	return errors.Join(do(c), c.Close())
}

// output is the -o flag of the commands that programs read as well as people.
type output string

const (
	textOutput output = "text"
	jsonOutput output = "json"
)

func (o *output) flag(c *cobra.Command) {
	*o = textOutput
	c.Flags().VarP(o, "output", "o", "text, or json for one JSON value alone on stdout")
}

func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "format" }
func (o *output) Set(s string) error {
	if s != string(textOutput) && s != string(jsonOutput) {
		return errors.New("want text or json")
	}
	*o = output(s)
	return nil
}

// one checks that a command got its one argument.
func one(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%d arguments: want one, %s", len(args), what)
		}
		return nil
	}
}

func healthcheckCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Succeed if a coordinator serves",
		Long: `Asks the coordinator at --addr whether it serves, says nothing and exits with 0
if it does. Containers use it as their health check.`,
		Example: "  coordinator healthcheck --addr 127.0.0.1:7070",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return r.with(func(cl *client.Client) error { return cl.Health(c.Context()) })
		},
	}
	r.flags(c, 3*time.Second)
	return c
}
