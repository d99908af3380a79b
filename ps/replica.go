package ps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/bus"
	"convoy/checkpoint"
	"convoy/digest"
	"convoy/failpoint"
	"convoy/job"
	"convoy/metrics"
	"convoy/optim"
)

// Config sets up a replica.
type Config struct {
	ID      string
	Cluster string
	Dir     string // data folder of this replica alone: Raft log, ledgers, checkpoints
	Carrier bus.Carrier
	Raft    RaftConfig
	// Dial reaches another replica's gRPC API.
	Dial func(address string) (grpc.ClientConnInterface, error)
	// Initial is state 0 of a recipe, a pure function.
	Initial func(job.Recipe) (*optim.State, error)
	// ChunkFloats is the size of a chunk on the wire, 0 for the default.
	ChunkFloats int
	// Runner shares the arithmetic on whole states and gradients out, for the
	// replica alone; nil: nobody does.
	Runner optim.Runner
	// Silence is how long a worker may be unheard; 0 means 300 ms.
	Silence time.Duration
	// Lacks says what else this replica must have before it may vote, "" for
	// nothing; nil: there is nothing else.
	Lacks   func() string
	Metrics *metrics.Replica // nil: some that nobody sees
	Log     *zap.Logger
}

// ErrKilled as the cause of Run's context makes a replica leave as a crash
// would: it hands nothing over.
var ErrKilled = errors.New("killed")

// errStopping answers what comes while a replica stops.
var errStopping = errors.New("the replica is stopping; ask another one")

// Replica is one member of the parameter server.
type Replica struct {
	api.UnimplementedReplicasServer

	cfg     Config
	control *control
	raft    *raftNode
	ledgers *ledgers
	inbox   chan func()
	done    chan struct{} // closed when the loop has ended
	ctx     context.Context
	stop    context.CancelCauseFunc
	tasks   sync.WaitGroup
	started time.Time
	metrics *metrics.Replica
	broken  chan error    // the first error of the disk, which ends the replica
	look    chan struct{} // files of a job may be damaged: see mendLater
	suspect []string      // those jobs, under mu

	fetching sync.Mutex // held while a checkpoint is fetched
	write    writeState // checkpoint.Write, but in tests

	// The loop's own.
	role   role
	runner *runner // of the active job, nil without one
	fleet  map[string]*workerSeen

	quarantined map[string]*api.Quarantined // workers that compute wrongly, by name

	dirty bool
	retry time.Time // when to try the active job again after it could not be begun

	connectedAt time.Time // when the bus was last connected
	handedAt    time.Time // when leadership was last to be handed over
	promotion   promotion

	live       atomic.Pointer[live]
	leading    atomic.Pointer[role]
	members    atomic.Pointer[[]Member]
	lacks      atomic.Pointer[string] // what a voter must have and this replica has not; see keepComplete
	identified bool                   // keepComplete's own: the folder says whose it is

	changing sync.Mutex    // held while the members change
	removed  chan struct{} // closed once the cluster has removed this replica
	mu       sync.Mutex
	changed  chan struct{}
	closing  bool // Raft is asked for nothing more

	proposals sync.WaitGroup // entries and other questions that Raft has not answered
}

// role is what this replica knows of the leadership.
type role struct {
	term    uint64
	leader  string // replica id, empty while none is known
	leading bool   // it is this replica, and it has applied the whole log
}

// inboxLen bounds what waits for the loop. Senders wait when it is full, which
// the bus turns into drops and the protocol repairs.
const inboxLen = 4096

// Open starts the replica's Raft node. Run must follow.
func Open(cfg Config) (*Replica, error) {
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "jobs"), 0o755); err != nil {
		return nil, fmt.Errorf("data folder: %w; give a folder that this user may write", err)
	}
	if err := sweep(cfg.Dir); err != nil {
		return nil, fmt.Errorf("remove what a crash left behind: %w; give a folder that this user may write", err)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewReplica()
	}
	r := &Replica{
		cfg: cfg, inbox: make(chan func(), inboxLen), done: make(chan struct{}),
		started: time.Now(), fleet: map[string]*workerSeen{}, quarantined: map[string]*api.Quarantined{}, changed: make(chan struct{}), removed: make(chan struct{}),
		metrics: cfg.Metrics, broken: make(chan error, 1), look: make(chan struct{}, 1), write: checkpoint.Write,
	}
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	r.leading.Store(&role{})
	r.live.Store(&live{})
	r.members.Store(&[]Member{})
	r.lacks.Store(&notLookedYet)
	r.ledgers = newLedgers(cfg.Dir, cfg.Log, r.fetchRows, r.fail, cfg.Metrics)
	r.control = newControl(r.watch, r.ledgers.settle)
	node, err := startRaft(cfg.Dir, cfg.ID, cfg.Raft, r.control, cfg.Log, r.fail)
	if err != nil {
		return nil, errors.Join(err, r.ledgers.close())
	}
	r.raft = node
	members := r.readMembers()
	r.members.Store(&members)
	return r, nil
}

// writeState writes a state to a file, as checkpoint.Write does.
type writeState func(path string, s *optim.State, m checkpoint.Meta) (digest.Sum, error)

// fail ends the replica with an error of its disk. Nothing is tried again: after
// a write or an fsync that failed nobody knows what is on the disk, until a start
// reads it all anew.
func (r *Replica) fail(err error) {
	select {
	case r.broken <- err:
	default: // it ends already
	}
}

// Run takes part until ctx ends, until the disk does not take what it must hold,
// or until the cluster has removed this replica: the error is then ErrRemoved. A
// replica that leads hands leadership over first, unless the context's cause is
// ErrKilled.
func (r *Replica) Run(ctx context.Context) error {
	unsubscribe, err := r.subscribe()
	var broken error
	if err == nil {
		var group errgroup.Group
		loopCtx, stopLoop := context.WithCancel(context.Background())
		group.Go(func() error { r.loop(loopCtx); return nil })
		group.Go(func() error { r.watchLeadership(loopCtx); return nil })
		r.task(r.watchRemoval)
		r.task(r.keepComplete)
		select {
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), ErrKilled) {
				r.handOver()
			}
		case broken = <-r.broken:
			r.cfg.Log.Error("this replica stops, the others go on", zap.Error(broken))
			r.handOver()
		case <-r.removed:
			err = ErrRemoved
		}
		stopLoop()
		err = errors.Join(err, group.Wait())
	} else {
		close(r.done)
	}
	unsubscribe()
	r.stop(context.Cause(ctx))
	r.endProposals()
	err = errors.Join(err, r.raft.close())
	r.tasks.Wait()
	err = errors.Join(err, r.ledgers.close())
	if broken != nil {
		err = broken // the rest follows from it
	}
	if err != nil {
		return fmt.Errorf("replica %s: %w", r.cfg.ID, err)
	}
	return nil
}

func (r *Replica) handOver() {
	if !r.leading.Load().leading || len(r.otherVoters()) == 0 {
		return
	}
	if err := r.raft.LeadershipTransfer().Error(); err != nil {
		r.cfg.Log.Warn("leadership not handed over, another replica will be elected", zap.Error(err))
	}
}

// subscribe listens on this replica's subjects; a job's gradients are listened
// to while it is active.
func (r *Replica) subscribe() (unsubscribe func(), err error) {
	unsubscribe = func() {}
	for _, subject := range []string{bus.ReplicaIn(r.cfg.Cluster, r.cfg.ID), bus.AllHellos(r.cfg.Cluster)} {
		stop, err := r.cfg.Carrier.Subscribe(subject, r.receive)
		if err != nil {
			return unsubscribe, fmt.Errorf("subscribe to %s: %w", subject, err)
		}
		before := unsubscribe
		unsubscribe = func() { before(); stop() }
	}
	return unsubscribe, nil
}

func (r *Replica) receive(m bus.Message) {
	r.post(func() {
		if h := m.GetHello(); h != nil {
			r.helloed(m, h)
		}
		if r.runner != nil {
			r.step(r.runner, Received{m})
		}
	})
}

// helloed keeps the fleet for cluster status, and sends workers home whose job
// has ended.
func (r *Replica) helloed(m bus.Message, h *api.Hello) {
	if h.Leaving {
		delete(r.fleet, m.From)
		return
	}
	r.fleet[m.From] = &workerSeen{hello: h, term: m.Term, job: m.Job, at: time.Since(r.started)}
	if r.runner == nil && r.role.leading && m.Job != "" {
		idle := &api.Envelope{
			Term: r.role.term, From: r.cfg.ID,
			Body: &api.Envelope_Plan{Plan: &api.Plan{Leader: r.cfg.ID}},
		}
		r.publish(bus.WorkerIn(r.cfg.Cluster, m.From), bus.Message{Envelope: idle})
	}
}

func (r *Replica) publish(subject string, m bus.Message) {
	if err := r.cfg.Carrier.Publish(subject, m); err != nil {
		r.cfg.Log.Debug("message lost, it will be repaired", zap.String("subject", subject), zap.Error(err))
	}
}

// post hands work to the loop. It waits while the inbox is full and drops the
// work once the loop has ended.
func (r *Replica) post(f func()) {
	select {
	case r.inbox <- f:
	case <-r.done:
	}
}

// call runs f in the loop and waits for it.
func (r *Replica) call(ctx context.Context, f func()) error {
	ran := make(chan struct{})
	r.post(func() { f(); close(ran) })
	select {
	case <-ran:
		return nil
	case <-r.done:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
}

// task runs f beside the loop until the replica stops.
func (r *Replica) task(f func(ctx context.Context)) { r.tasks.Go(func() { f(r.ctx) }) }

func (r *Replica) loop(ctx context.Context) {
	defer close(r.done)
	defer func() { r.setRunner(nil) }()
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	r.refresh()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-r.inbox:
			f()
		case <-ticker.C:
			if r.runner != nil {
				r.step(r.runner, Tick{})
			}
			r.handOverIfCutOff()
			r.promoteReady()
			if !r.retry.IsZero() && time.Now().After(r.retry) {
				r.refresh()
			}
			r.tell()
		}
	}
}

// watch takes what an entry changed; it is called by Raft and does not block
// for longer than the loop takes to get there.
func (r *Replica) watch(c change) {
	if len(c.rows) > 0 {
		r.ledgers.append(c.job, c.rows)
	}
	r.post(func() {
		r.dirty = true
		if text := turning(c.job); text != "" && r.role.leading {
			r.log(c.job.Submit.Job, text)
		}
		r.refresh()
	})
}

// turning is the line of a job's log about the end of its work, for good or for
// a while; "" where it goes on, or j is nil.
func turning(j *api.JobRecord) string {
	switch j.GetPhase() {
	case api.Phase_PHASE_FINISHED:
		return fmt.Sprintf("finished after %d steps: state %x", j.Committed, j.LastDigest)
	case api.Phase_PHASE_SUSPECT:
		return fmt.Sprintf("ended after %d committed steps: %s", j.Committed, j.Reason)
	case api.Phase_PHASE_FAILED:
		return fmt.Sprintf("failed after %d committed steps: %s", j.Committed, j.Reason)
	case api.Phase_PHASE_CANCELLED:
		return fmt.Sprintf("cancelled after %d committed steps", j.Committed)
	case api.Phase_PHASE_PAUSED:
		return fmt.Sprintf("paused after %d committed steps", j.Committed)
	case api.Phase_PHASE_QUEUED:
		if j.Turn > 0 {
			return "resumed: it goes on when its turn comes"
		}
	}
	return ""
}

// refresh follows the control FSM: it starts the active job's runner, tells it
// the job's record, or ends it.
func (r *Replica) refresh() {
	record := r.control.active()
	if record == nil || (r.runner != nil && r.runner.id() != record.Submit.Job) {
		r.setRunner(nil)
	}
	switch {
	case record == nil || time.Now().Before(r.retry):
	case r.runner == nil:
		r.retry = time.Time{}
		n, err := r.newRunner(record)
		if err != nil {
			r.unable(record.Submit.Job, err)
			return
		}
		r.setRunner(n)
	default:
		r.step(r.runner, Recorded{record})
	}
}

// unable deals with a job that cannot be begun on this replica: another one
// leads it, or, where there is none, the job fails. It is tried again later.
func (r *Replica) unable(id string, err error) {
	r.log(id, fmt.Sprintf("replica %s cannot take part: %v", r.cfg.ID, err))
	r.retry = time.Now().Add(handOverAtMin)
	switch {
	case !r.role.leading:
	case len(r.otherVoters()) > 0:
		r.task(func(context.Context) { r.handOver() })
	default:
		r.task(func(ctx context.Context) {
			failed := &api.Entry{Body: &api.Entry_JobFailed{JobFailed: &api.JobFailed{Job: id, Reason: err.Error()}}}
			if err := r.Propose(ctx, failed); err != nil {
				r.cfg.Log.Error("failure not recorded", zap.String("job", id), zap.Error(err))
			}
		})
	}
}

func (r *Replica) setRunner(n *runner) {
	if r.runner != nil {
		r.runner.close()
	}
	r.runner = n
	r.dirty = true
	if n != nil {
		r.applyRole()
	}
}

// applyRole tells the machine who leads.
func (r *Replica) applyRole() {
	if r.runner == nil {
		return
	}
	if r.role.leader != "" {
		r.runner.begin()
	}
	if r.role.leading {
		r.step(r.runner, Leading{Term: r.role.term})
	} else {
		r.step(r.runner, Following{Term: r.role.term, Leader: r.role.leader})
	}
}

// Propose appends an entry to the log and returns once it is applied here. An
// entry that no longer applied changed nothing: read the state to know.
func (r *Replica) Propose(ctx context.Context, e *api.Entry) error {
	wait := 5 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	if !r.IsLeader() {
		return ErrNotLeader
	}
	e.UnixNanos = time.Now().UnixNano()
	b, err := proto.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode an entry: %w", err)
	}
	if len(b) > maxEntryBytes {
		return fmt.Errorf("an entry of %d bytes is too long, the limit is %d: shorten the job file", len(b), maxEntryBytes)
	}
	failpoint.Pass(failpoint.BeforeProposal)
	future, answered, err := ask(r, func() raft.ApplyFuture { return r.raft.Apply(b, wait) })
	if err != nil {
		return err
	}
	select {
	case err := <-answered:
		if notLeader(err) {
			return fmt.Errorf("%w: %w", ErrNotLeader, err) // it may have been appended all the same
		}
		if err != nil {
			return fmt.Errorf("append to the Raft log: %w", err)
		}
		failpoint.Pass(failpoint.AfterProposal)
		if err, ok := future.Response().(error); ok {
			return err
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait + time.Second): // hashicorp/raft #498: a future may never answer
		return errors.New("append to the Raft log: no answer in time; it may have been appended")
	}
}

// ask asks Raft for something and watches for the answer beside the caller. Raft
// answers as long as it runs; of what is under way when it shuts down it may
// forget some, and so Run waits for the answers before that and asks no more.
func ask[F raft.Future](r *Replica, begin func() F) (future F, answered <-chan error, err error) {
	r.mu.Lock()
	closing := r.closing
	if !closing {
		r.proposals.Add(1)
	}
	r.mu.Unlock()
	if closing {
		return future, nil, ErrNotLeader
	}
	answer := make(chan error, 1)
	future = begin()
	go func() {
		defer r.proposals.Done()
		answer <- future.Error()
	}()
	return future, answer, nil
}

// endProposals waits until Raft has answered all that is under way.
func (r *Replica) endProposals() {
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	r.proposals.Wait()
}

// maxEntryBytes bounds an entry; a job file is the longest thing in one.
const maxEntryBytes = 256 << 10
