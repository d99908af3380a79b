// Command coordinator is everything a person does with Convoy: `train` trains in
// one process, `serve` is a replica of a cluster, and the rest are its clients.
package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"convoy/cmd/internal/cli"
)

func main() {
	ctx, stop := cli.Signals()
	defer stop()
	os.Exit(cli.Exit("coordinator", os.Stderr, run(ctx, os.Args[1:], os.Stdout, os.Stderr)))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return cli.Execute(ctx, root(), args, stdout, stderr)
}

func root() *cobra.Command {
	return cli.Group("coordinator", "Train convolutional networks on CPU machines, the same bits every time",
		`Convoy trains convolutional networks on ordinary CPU machines. One job file
gives one model, bit for bit, however many workers compute it and whatever
happens to them on the way. Begin with `+"`coordinator train`"+`: it needs nothing else.`,
		trainCommand(), serveCommand(), natsCommand(), chaosCommand(), jobCommand(), clusterCommand(), modelsCommand(), dataCommand(), benchCommand(), healthcheckCommand(), cli.Version("coordinator"))
}
