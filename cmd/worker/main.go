// Command worker computes gradients for a cluster of coordinators. It keeps
// nothing that matters: it may be started, killed and added at any time, and
// the model's bits stay the same.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"convoy/bus"
	"convoy/client"
	"convoy/cmd/internal/cli"
	"convoy/coordinator"
	"convoy/data"
	"convoy/failpoint"
	"convoy/worker"
)

func main() {
	ctx, stop := cli.Signals()
	defer stop()
	os.Exit(cli.Exit("worker", os.Stderr, run(ctx, os.Args[1:], os.Stdout, os.Stderr)))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return cli.Execute(ctx, root(), args, stdout, stderr)
}

// workerFlags are the flags of the program, as they are typed.
type workerFlags struct {
	addr                string
	nats                []string
	cluster, id         string
	threads             int
	cache               string
	cacheSize, memory   int64 // MiB
	logFormat, logLevel string
}

func root() *cobra.Command {
	var f workerFlags
	c := &cobra.Command{
		Use:   "worker",
		Short: "Compute gradients for a cluster",
		Long: `Joins a cluster and computes whatever share of the steps the coordinators give
it. Start as many as there are machines, at any time; an interrupt hands the
share back. Every flag may also be given by an environment variable, CONVOY_NATS
for --nats.`,
		Example: "  worker --addr 10.0.0.1:7070,10.0.0.2:7070,10.0.0.3:7070 --nats nats://10.0.0.9:4222",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := cli.FromEnvironment(c.Flags()); err != nil {
				return err
			}
			return f.run(c.Context())
		},
	}
	c.AddCommand(cli.Version("worker"))
	c.Args = cobra.NoArgs
	flags := c.Flags()
	flags.StringVar(&f.addr, "addr", client.DefaultAddress, "coordinators, host:port with commas between; name all of them")
	flags.StringSliceVar(&f.nats, "nats", []string{"nats://127.0.0.1:4222"}, "URLs of the NATS servers")
	flags.StringVar(&f.cluster, "cluster", "convoy", "the cluster's name, the same everywhere")
	flags.StringVar(&f.id, "id", defaultID(), "this worker's name, unique in the cluster")
	flags.IntVar(&f.threads, "threads", 0, "goroutines to compute with (default all cores)")
	flags.StringVar(&f.cache, "cache", filepath.Join(os.TempDir(), "convoy-cache"), "folder for shards of data sets, which several workers may share")
	flags.Int64Var(&f.cacheSize, "cache-size", 32<<10, "MiB of shards to keep in the cache, 0 for no bound")
	flags.Int64Var(&f.memory, "data-memory", data.MaxResidentBytes>>20, "MiB of a data set to hold in memory; jobs on larger sets need data.window")
	flags.StringVar(&f.logFormat, "log-format", "auto", "console, json, or auto: console on a terminal")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	return c
}

func (f workerFlags) run(ctx context.Context) error {
	if f.threads < 0 {
		return cli.Usagef("--threads %d: want 1 or more, or 0 for all cores", f.threads)
	}
	if f.cacheSize < 0 || f.cacheSize > 1<<30 || f.memory < 1 || f.memory > data.MaxResidentBytes>>20 {
		return cli.Usagef("--cache-size %d --data-memory %d: want 0 to %d and 1 to %d MiB", f.cacheSize, f.memory, 1<<30, data.MaxResidentBytes>>20)
	}
	if f.threads == 0 {
		f.threads = runtime.GOMAXPROCS(0)
	}
	if err := cli.Usage(failpoint.Arm(os.Getenv(failpoint.Variable))); err != nil {
		return err
	}
	log, err := coordinator.NewLogger(f.logFormat, f.logLevel)
	if err != nil {
		return cli.Usage(err)
	}
	cl, err := client.Dial(f.addr, client.Options{})
	if err != nil {
		return err
	}
	carrier, err := bus.Dial(ctx, bus.Options{URLs: f.nats, Name: f.cluster + " worker " + f.id, Log: log})
	if err != nil {
		return errors.Join(err, cl.Close())
	}
	w, err := worker.New(worker.Config{
		ID: f.id, Cluster: f.cluster, Threads: f.threads, Cache: f.cache, CacheBytes: f.cacheSize << 20, DataMemory: f.memory << 20,
		Carrier: carrier, Replicas: cl.Connections, Log: log,
	})
	if err == nil {
		following, stop := context.WithCancel(ctx)
		var keeping sync.WaitGroup
		keeping.Go(func() { cl.KeepUp(following) })
		err = w.Run(ctx)
		stop()
		keeping.Wait()
	}
	return errors.Join(err, carrier.Close(), cl.Close())
}

var notOfAName = regexp.MustCompile(`[^a-z0-9_-]+`)

// defaultID is the machine's name and the process: unique where machines'
// names are.
func defaultID() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "worker"
	}
	host = strings.Trim(notOfAName.ReplaceAllString(strings.ToLower(host), "-"), "-")
	return host[:min(len(host), 40)] + "-" + strconv.Itoa(os.Getpid())
}
