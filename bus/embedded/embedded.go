// Package embedded runs a nats-server inside the process, so that a cluster
// needs no server of its own: each replica starts one, and their routes make
// them one NATS cluster.
//
// It owns the server's settings (payload of 2 MB, no signal handlers, warnings
// into the process's log) and promises that Start returns a server that takes
// connections, or an error that names the address. The server is the one of
// github.com/nats-io/nats-server, unchanged.
package embedded

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"

	"convoy/bus"
)

const (
	startTimeout = 10 * time.Second
	// maxPending is how many bytes the server keeps for a client that reads too
	// slowly before it drops the client: as much as the client itself keeps.
	maxPending = 256 << 20
)

// Options set up Start.
type Options struct {
	Host        string      // address to listen on; empty means 127.0.0.1
	Port        int         // for clients; 0 or -1 takes any free one
	Name        string      // of this server; empty lets the server choose
	ClusterName string      // the same on all servers of a NATS cluster; empty means no cluster
	ClusterPort int         // for the other servers; 0 or -1 takes any free one
	Routes      []string    // nats://host:port of the other servers' cluster ports; the own one may be among them
	Log         *zap.Logger // nil means silence
}

// Server is a running nats-server.
type Server struct{ server *server.Server }

// Start runs a server until Shutdown.
func Start(o Options) (*Server, error) {
	opts, err := o.server()
	if err != nil {
		return nil, err
	}
	// The server would log a port that is taken and go on without it.
	for _, port := range []int{opts.Port, opts.Cluster.Port} {
		if err := free(opts.Host, port); err != nil {
			return nil, err
		}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("set up embedded NATS: %w", err)
	}
	log := o.Log
	if log == nil {
		log = zap.NewNop()
	}
	s.SetLoggerV2(&logger{log.Named("nats").WithOptions(zap.AddCallerSkip(1)).Sugar()}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("embedded NATS does not listen on %s: is the port taken? choose another one", net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port)))
	}
	return &Server{server: s}, nil
}

// server translates o, and checks it.
func (o Options) server() (*server.Options, error) {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	opts := &server.Options{
		ServerName:             o.Name,
		Host:                   o.Host,
		Port:                   anyPort(o.Port),
		MaxPayload:             bus.MaxPayload,
		MaxPending:             maxPending,
		NoSigs:                 true,
		NoLog:                  true,
		DisableShortFirstPing:  true,
		NoSystemAccount:        true,
		DisableJetStreamBanner: true,
	}
	if o.ClusterName == "" {
		if len(o.Routes) > 0 {
			return nil, errors.New("routes of embedded NATS without a cluster's name: give both or neither")
		}
		return opts, nil
	}
	opts.Cluster = server.ClusterOpts{Name: o.ClusterName, Host: o.Host, Port: anyPort(o.ClusterPort)}
	for _, route := range o.Routes {
		u, err := url.Parse(route)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("route %q of embedded NATS: want nats://host:port", route)
		}
		opts.Routes = append(opts.Routes, u)
	}
	return opts, nil
}

// anyPort maps 0, which to nats-server means its default port, to any port.
func anyPort(port int) int {
	if port == 0 {
		return server.RANDOM_PORT
	}
	return port
}

// free reports whether the port can be listened on; 0 (no cluster) and -1 can.
func free(host string, port int) error {
	if port <= 0 {
		return nil
	}
	address := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("embedded NATS cannot listen on %s: %w: stop what uses the port or choose another one", address, err)
	}
	return l.Close()
}

// ClientURL is what clients in reach of Host connect to.
func (s *Server) ClientURL() string { return s.server.ClientURL() }

// ClusterURL is what other servers name as a route; empty without a cluster.
func (s *Server) ClusterURL() string {
	if a := s.server.ClusterAddr(); a != nil {
		return "nats://" + a.String()
	}
	return ""
}

// Routes is how many connections to other servers stand; a pair of servers has
// several.
func (s *Server) Routes() int { return s.server.NumRoutes() }

// Shutdown disconnects everyone and returns when the server has ended.
func (s *Server) Shutdown() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// logger passes the server's warnings and errors on to zap.
type logger struct{ log *zap.SugaredLogger }

func (l *logger) Noticef(string, ...any)         {}
func (l *logger) Debugf(string, ...any)          {}
func (l *logger) Tracef(string, ...any)          {}
func (l *logger) Warnf(format string, v ...any)  { l.log.Warnf(format, v...) }
func (l *logger) Errorf(format string, v ...any) { l.log.Errorf(format, v...) }
func (l *logger) Fatalf(format string, v ...any) { l.log.Errorf(format, v...) } // the process goes on
