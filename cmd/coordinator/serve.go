package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"convoy/bus/embedded"
	"convoy/client"
	"convoy/cmd/internal/cli"
	"convoy/coordinator"
	"convoy/failpoint"
	"convoy/metrics"
	"convoy/ps"
)

// embeddedNATS as the value of --nats runs a server in this process.
const embeddedNATS = "embedded"

// serveFlags are the flags of `serve`, as they are typed.
type serveFlags struct {
	id, data, cluster             string
	listen, advertise             string
	raftListen, raftAdvertise     string
	raftGiven                     bool // --raft-listen, without --peers or --join too
	peers, join                   []string
	nats                          []string
	natsListen, natsClusterListen string
	natsRoutes                    []string
	metricsListen                 string
	logFormat, logLevel           string
}

func serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Be a coordinator of a cluster",
		Long: `Serves as one coordinator of a cluster: it votes in Raft, holds the parameters,
stores the data sets and answers clients and workers. One alone makes a cluster
whose durability is its disk; three survive the loss of any one. Every flag may
also be given by an environment variable, CONVOY_RAFT_LISTEN for --raft-listen.`,
		Example: `  coordinator serve --data /var/lib/convoy

  coordinator serve --id a --data a --listen 10.0.0.1:7070 --raft-listen 10.0.0.1:7071 \
      --nats nats://10.0.0.9:4222 \
      --peers a=10.0.0.1:7070/10.0.0.1:7071,b=10.0.0.2:7070/10.0.0.2:7071,c=10.0.0.3:7070/10.0.0.3:7071`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := cli.FromEnvironment(c.Flags()); err != nil {
				return err
			}
			if err := cli.Usage(failpoint.Arm(os.Getenv(failpoint.Variable))); err != nil {
				return err
			}
			f.raftGiven = c.Flags().Changed("raft-listen")
			cfg, err := f.config()
			if err != nil {
				return err
			}
			server, err := coordinator.Open(cfg)
			if err != nil {
				return err
			}
			err = f.serve(c.Context(), server, cfg.Metrics)
			if errors.Is(err, ps.ErrRemoved) { // as it was asked to
				_, err = fmt.Fprintln(c.ErrOrStderr(), err)
			}
			return err
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.id, "id", "r1", "this coordinator's name, unique in the cluster")
	flags.StringVar(&f.data, "data", "convoy-data", "folder of this coordinator alone: log, ledgers, checkpoints, data sets")
	flags.StringVar(&f.cluster, "cluster", "convoy", "the cluster's name, the same everywhere")
	flags.StringVar(&f.listen, "listen", client.DefaultAddress, "address to serve gRPC on")
	flags.StringVar(&f.advertise, "advertise", "", "host:port that others reach gRPC at (default from --peers, else from --listen)")
	flags.StringVar(&f.raftListen, "raft-listen", "127.0.0.1:7071", "address to serve Raft on; used with --peers or --join, or where it is given: others may then be added")
	flags.StringVar(&f.raftAdvertise, "raft-advertise", "", "host:port that others reach Raft at (default from --peers)")
	flags.StringSliceVar(&f.peers, "peers", nil, "all coordinators, this one among them: id=grpc-host:port/raft-host:port,… (default: this one alone)")
	flags.StringSliceVar(&f.join, "join", nil, "instead of --peers: host:port of a cluster's coordinators, to become one of them; see coordinator cluster add")
	flags.StringSliceVar(&f.nats, "nats", []string{embeddedNATS}, "URLs of NATS servers, or embedded for one in this process")
	flags.StringVar(&f.natsListen, "nats-listen", "127.0.0.1:4222", "address of the embedded NATS server, for workers")
	flags.StringVar(&f.natsClusterListen, "nats-cluster-listen", "", "address of the embedded NATS server, for the others; with --nats-routes")
	flags.StringSliceVar(&f.natsRoutes, "nats-routes", nil, "nats://host:port of the embedded NATS servers' cluster addresses")
	flags.StringVar(&f.metricsListen, "metrics-listen", "", "address to show metrics at, as http://host:port/metrics (default: nowhere)")
	flags.StringVar(&f.logFormat, "log-format", "auto", "console, json, or auto: console on a terminal")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	return c
}

// serve runs a coordinator, and the page with its metrics where one is asked for.
func (f serveFlags) serve(ctx context.Context, server *coordinator.Server, m *metrics.Replica) error {
	if f.metricsListen == "" {
		return server.Run(ctx)
	}
	ctx, stop := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { defer stop(); return server.Run(ctx) })
	group.Go(func() error {
		l, err := metrics.Listen(f.metricsListen)
		if err != nil {
			return err
		}
		return m.Serve(ctx, l)
	})
	return group.Wait()
}

// config checks the flags and translates them.
func (f serveFlags) config() (coordinator.Config, error) {
	cfg := coordinator.Config{ID: f.id, Cluster: f.cluster, Dir: f.data, Advertise: f.advertise, Metrics: metrics.NewReplica()}
	for flag, address := range map[string]string{
		"--listen": f.listen, "--advertise": f.advertise, "--raft-listen": f.raftListen, "--raft-advertise": f.raftAdvertise,
		"--metrics-listen": f.metricsListen,
	} {
		if err := checkAddress(flag, address); err != nil {
			return cfg, err
		}
	}
	cfg.Listen = f.listen
	var err error
	if cfg.Peers, err = f.peerList(); err != nil {
		return cfg, err
	}
	if cfg.Join, err = f.joinList(); err != nil {
		return cfg, err
	}
	if len(cfg.Peers) > 0 || len(cfg.Join) > 0 || f.raftGiven {
		cfg.RaftListen = f.raftListen
	}
	if len(cfg.Peers) == 0 && f.raftAdvertise != "" {
		cfg.Peers = []coordinator.Peer{{ID: f.id, RaftAddress: f.raftAdvertise}}
	}
	if len(f.nats) == 1 && f.nats[0] == embeddedNATS {
		cfg.Embedded, err = f.embedded()
	} else {
		cfg.NATS, err = natsURLs(f.nats)
	}
	if err != nil {
		return cfg, err
	}
	cfg.Log, err = coordinator.NewLogger(f.logFormat, f.logLevel)
	return cfg, cli.Usage(err)
}

// peerList reads --peers and puts --raft-advertise into this coordinator's own
// entry.
func (f serveFlags) peerList() ([]coordinator.Peer, error) {
	var list []coordinator.Peer
	self := false
	for _, text := range f.peers {
		p, err := parsePeer("--peers", text)
		if err != nil {
			return nil, err
		}
		if p.ID == f.id {
			self = true
			if f.raftAdvertise != "" {
				p.RaftAddress = f.raftAdvertise
			}
		}
		list = append(list, p)
	}
	if len(list) > 0 && !self {
		return nil, cli.Usagef("--peers names no coordinator %q, which --id says this one is: name all coordinators, this one among them", f.id)
	}
	return list, nil
}

// parsePeer reads a coordinator's name and addresses.
func parsePeer(what, text string) (p coordinator.Peer, err error) {
	id, addresses, named := strings.Cut(text, "=")
	grpc, raft, both := strings.Cut(addresses, "/")
	if !named || !both || id == "" {
		return p, cli.Usagef("%s %q: want id=grpc-host:port/raft-host:port", what, text)
	}
	for _, a := range []string{grpc, raft} {
		if _, _, err := hostPort(what, a); err != nil {
			return p, err
		}
	}
	return coordinator.Peer{ID: id, Address: grpc, RaftAddress: raft}, nil
}

// joinList reads --join.
func (f serveFlags) joinList() ([]string, error) {
	if len(f.join) == 0 {
		return nil, nil
	}
	if len(f.peers) > 0 {
		return nil, cli.Usagef("--join and --peers: a coordinator begins a cluster with --peers, or joins one with --join")
	}
	return client.Addresses(strings.Join(f.join, ","))
}

func (f serveFlags) embedded() (*embedded.Options, error) {
	host, port, err := hostPort("--nats-listen", f.natsListen)
	if err != nil {
		return nil, err
	}
	o := &embedded.Options{Host: host, Port: port, Name: f.id}
	if f.natsClusterListen == "" {
		if len(f.natsRoutes) > 0 {
			return nil, cli.Usagef("--nats-routes without --nats-cluster-listen: give the address that the other servers reach this one at")
		}
		if len(f.peers) > 1 || len(f.join) > 0 {
			return nil, cli.Usagef("--nats embedded with several coordinators: give each --nats-cluster-listen and --nats-routes, or use one server of its own with --nats URL")
		}
		return o, nil
	}
	clusterHost, clusterPort, err := hostPort("--nats-cluster-listen", f.natsClusterListen)
	if err != nil {
		return nil, err
	}
	if clusterHost != host {
		return nil, cli.Usagef("--nats-cluster-listen %s and --nats-listen %s: want the same host, with two ports", f.natsClusterListen, f.natsListen)
	}
	o.ClusterName, o.ClusterPort, o.Routes = f.cluster, clusterPort, f.natsRoutes
	return o, nil
}

// natsURLs checks the URLs of NATS servers.
func natsURLs(list []string) ([]string, error) {
	var urls []string
	for _, u := range list {
		if u == "" {
			continue
		}
		if u == embeddedNATS {
			return nil, cli.Usagef("--nats %s: want either embedded or URLs", strings.Join(list, ","))
		}
		if !strings.Contains(u, "://") {
			u = "nats://" + u
		}
		urls = append(urls, u)
	}
	if len(urls) == 0 {
		return nil, cli.Usagef("--nats names no server: want a URL such as nats://127.0.0.1:4222, or embedded")
	}
	return urls, nil
}

func checkAddress(flag, address string) error {
	if address == "" {
		return nil
	}
	_, _, err := hostPort(flag, address)
	return err
}

// hostPort splits an address whose port is a number.
func hostPort(flag, address string) (string, int, error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		var port int
		if port, err = strconv.Atoi(text); err == nil && (port < 0 || port > 65535) {
			err = errors.New("no such port")
		}
		if err == nil {
			return host, port, nil
		}
	}
	return "", 0, cli.Usage(fmt.Errorf("%s %q: want host:port, such as 127.0.0.1:7070", flag, address))
}
