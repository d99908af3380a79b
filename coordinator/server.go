package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"convoy/api"
	"convoy/bus"
	"convoy/bus/embedded"
	"convoy/data"
	"convoy/digest"
	"convoy/kernels"
	"convoy/ps"
)

// stopLimit is how long calls under way may take when the server stops.
const stopLimit = 3 * time.Second

// Server is one replica with everything around it.
type Server struct {
	cfg      Config
	log      *zap.Logger
	listener net.Listener
	carrier  bus.Carrier
	nats     *embedded.Server // nil unless embedded
	store    *data.Store
	shards   *shardService
	peers    *peers
	replica  replica
	grpc     *grpc.Server
	health   *health.Server
	builtins map[digest.Sum]bool    // manifests whose data every process makes itself
	look     chan struct{}          // something is to be fetched: see lookAgain
	stopping chan struct{}          // closed when Run begins to stop
	lacks    atomic.Pointer[string] // shards that are not here; see completeShards
	release  []func() error         // in reverse order, once everything has stopped
}

// Open takes the run folder, opens the listeners, connects to NATS and opens
// the replica. Whoever has opened a Server must Run it, which releases all of
// that.
func Open(cfg Config) (_ *Server, err error) {
	cfg, err = cfg.checked()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: cfg.Log.With(zap.String("replica", cfg.ID)), stopping: make(chan struct{}), look: make(chan struct{}, 1), builtins: builtins()}
	s.lacks.Store(&shardsNotLookedYet)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.releaseAll())
		}
	}()
	unlock, err := lockFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s.release = append(s.release, unlock)
	if err := s.openStore(); err != nil {
		return nil, err
	}
	raft, err := s.openListeners()
	if err != nil {
		return nil, err
	}
	s.peers = &peers{dial: s.cfg.dial}
	s.release = append(s.release, s.peers.close)
	if err := s.prepareFolder(raft); err != nil {
		return nil, err
	}
	if err := s.openCarrier(); err != nil {
		return nil, err
	}
	s.cfg.carrier = s.carrier
	s.showCarrier()
	hands := kernels.NewPool(runtime.GOMAXPROCS(0))
	s.release = append(s.release, func() error { hands.Close(); return nil })
	s.cfg.runner = hands
	s.cfg.lacks = s.lackingShards
	open := s.cfg.open
	if open == nil {
		open = openReplica
	}
	if s.replica, err = open(s.cfg, raft, s.peers); err != nil {
		return nil, fmt.Errorf("replica %s: %w", s.cfg.ID, err)
	}
	s.newGRPC()
	return s, nil
}

func (s *Server) openStore() (err error) {
	dir := filepath.Join(s.cfg.Dir, "data")
	if s.store, err = data.OpenStore(dir); err != nil {
		return err
	}
	s.shards = &shardService{id: s.cfg.ID, store: s.store, lost: s.lookAgain}
	return s.store.Sweep() // the folder's lock says that nobody else writes there
}

func (s *Server) openListeners() (raft net.Listener, err error) {
	if s.listener, raft, err = s.cfg.openListeners(); err != nil {
		return nil, err
	}
	s.release = append(s.release, func() error { return closeListener(s.listener) })
	if raft != nil {
		s.release = append(s.release, func() error { return closeListener(raft) })
	}
	return raft, nil
}

// closeListener closes a listener that gRPC or Raft may have closed already.
func closeListener(l net.Listener) error {
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (s *Server) openCarrier() error {
	switch {
	case s.cfg.carrier != nil:
		s.carrier = s.cfg.carrier
		return nil
	case s.cfg.InProcess:
		s.carrier = bus.NewLocal()
	default:
		urls := s.cfg.NATS
		if s.cfg.Embedded != nil {
			o := *s.cfg.Embedded
			if o.Log == nil {
				o.Log = s.log
			}
			var err error
			if s.nats, err = embedded.Start(o); err != nil {
				return err
			}
			s.release = append(s.release, func() error { s.nats.Shutdown(); return nil })
			urls = []string{s.nats.ClientURL()}
		}
		carrier, err := bus.Dial(context.Background(), bus.Options{URLs: urls, Name: s.cfg.Cluster + " replica " + s.cfg.ID, Log: s.log})
		if err != nil {
			return err
		}
		s.carrier = carrier
	}
	s.release = append(s.release, s.carrier.Close)
	return nil
}

func (s *Server) newGRPC() {
	f := &forwarder{id: s.cfg.ID, replica: s.replica, conn: s.peers.conn, wait: s.cfg.LeaderWait, stopping: s.stopping}
	calls := logging.LoggerFunc(s.logCall)
	finished := []logging.Option{logging.WithLogOnEvents(logging.FinishCall), logging.WithLevels(callLevel)}
	panics := recovery.WithRecoveryHandlerContext(s.recovered)
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.StatsHandler(refusals{s.cfg.Metrics}),
		grpc.ChainUnaryInterceptor(
			logging.UnaryServerInterceptor(calls, finished...), recovery.UnaryServerInterceptor(panics), f.unary),
		grpc.ChainStreamInterceptor(
			logging.StreamServerInterceptor(calls, finished...), recovery.StreamServerInterceptor(panics), f.stream),
	)
	api.RegisterJobsServer(s.grpc, &jobService{Server: s})
	api.RegisterReplicasServer(s.grpc, s.replica)
	api.RegisterShardsServer(s.grpc, s.shards)
	s.health = health.NewServer()
	s.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
}

// logCall hands a line of the logging interceptor on to zap.
func (s *Server) logCall(_ context.Context, level logging.Level, msg string, fields ...any) {
	at := zap.DebugLevel
	switch {
	case level >= logging.LevelError:
		at = zap.ErrorLevel
	case level >= logging.LevelWarn:
		at = zap.WarnLevel
	case level >= logging.LevelInfo:
		at = zap.InfoLevel
	}
	s.log.Sugar().Logw(at, msg, fields...)
}

// callLevel is the level that a call's end is logged at: what a replica itself
// may be blamed for stands out, what a client or an election caused does not.
func callLevel(code codes.Code) logging.Level {
	switch code {
	case codes.Internal, codes.DataLoss, codes.Unknown:
		return logging.LevelError
	default:
		return logging.LevelDebug
	}
}

// recovered answers a call whose handler panicked.
func (s *Server) recovered(_ context.Context, p any) error {
	s.log.Error("a call panicked", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
	return status.Errorf(codes.Internal, "replica %s made a mistake (%v): its log has the stack; please report it", s.cfg.ID, p)
}

// Run serves until ctx ends or something breaks, and returns after all
// goroutines, with the run folder released. It is called once. With ps.ErrKilled
// as the context's cause it stops as a crash would: no hand-over, no farewell.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer cancel()
		if err := s.replica.Run(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
	group.Go(func() error {
		if err := s.grpc.Serve(s.listener); err != nil && ctx.Err() == nil {
			return fmt.Errorf("replica %s: serve gRPC: %w", s.cfg.ID, err)
		}
		return nil
	})
	group.Go(func() error { return s.completeShards(ctx) })
	group.Go(func() error { s.watchHealth(ctx); return nil })
	if !s.cfg.InProcess {
		group.Go(func() error { s.watchVoters(ctx); return nil })
	}
	group.Go(func() error {
		<-ctx.Done()
		s.stop(!errors.Is(context.Cause(ctx), ps.ErrKilled))
		return nil
	})
	s.log.Info("serving", zap.String("address", s.Addr()), zap.String("folder", s.cfg.Dir))
	err := group.Wait()
	return errors.Join(err, s.releaseAll())
}

// watchHealth says "serving" while a leader is known.
func (s *Server) watchHealth(ctx context.Context) {
	for {
		changed := s.replica.Changed()
		state := grpc_health_v1.HealthCheckResponse_NOT_SERVING
		if id, _, _ := s.replica.Leader(); id != "" {
			state = grpc_health_v1.HealthCheckResponse_SERVING
		}
		s.health.SetServingStatus("", state)
		s.health.SetServingStatus(api.Jobs_ServiceDesc.ServiceName, state)
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// stop ends the gRPC server. Gracefully, calls that wait for something are sent
// to another replica at once and the others have a while.
func (s *Server) stop(gracefully bool) {
	s.health.Shutdown()
	close(s.stopping)
	if !gracefully {
		s.grpc.Stop()
		return
	}
	late := time.AfterFunc(stopLimit, s.grpc.Stop)
	defer late.Stop()
	s.grpc.GracefulStop()
}

func (s *Server) releaseAll() error {
	var errs []error
	for len(s.release) > 0 {
		last := len(s.release) - 1
		errs = append(errs, s.release[last]())
		s.release = s.release[:last]
	}
	return errors.Join(errs...)
}

// Addr is the address that the gRPC API listens on.
func (s *Server) Addr() string {
	if s.cfg.InProcess {
		return inProcessAddress
	}
	return s.listener.Addr().String()
}

// Dial opens a connection to the gRPC API at address; a Server that opened no
// socket connects to itself, whatever the address.
func (s *Server) Dial(ctx context.Context, address string) (net.Conn, error) {
	return s.cfg.dial(ctx, address)
}

// Carrier is what the replica's messages travel on: the bus of the workers in
// this process.
func (s *Server) Carrier() bus.Carrier { return s.carrier }

// NATSURL is where the embedded NATS server takes clients; empty without one.
func (s *Server) NATSURL() string {
	if s.nats == nil {
		return ""
	}
	return s.nats.ClientURL()
}

// builtin reports whether every process makes the data of a manifest itself.
func (s *Server) builtin(sum digest.Sum) bool { return s.builtins[sum] }

func builtins() map[digest.Sum]bool {
	return map[digest.Sum]bool{data.Digits().Manifest.Digest(): true}
}
