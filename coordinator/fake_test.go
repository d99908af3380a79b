package coordinator

import (
	"context"
	"fmt"
	"iter"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/bus"
	"convoy/ps"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeGroup stands for the Raft group: one state that all its replicas see.
type fakeGroup struct {
	mu      sync.Mutex
	leader  string
	control *api.Control
	members []ps.Member
	jobs    map[string]*api.JobStatus
	changed chan struct{}
	entries []*api.Entry
}

// fake is one replica's view of the group.
type fake struct {
	api.UnimplementedReplicasServer
	group *fakeGroup
	id    string
	// believes replaces the leader that this replica knows, where not empty.
	believes   string
	deposed    bool // another one leads and this replica has not heard of it
	lines      []*api.LogLine
	checkpoint string // path
	record     *api.CheckpointRecord
	rows       func(from uint64) iter.Seq2[*api.LedgerRow, error]
}

func (g *fakeGroup) update(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *fakeGroup) lead(id string) { g.update(func() { g.leader = id }) }

func (g *fakeGroup) set(job string, f func(*api.JobStatus)) {
	g.update(func() {
		j := proto.CloneOf(g.jobs[job])
		f(j)
		g.jobs[job] = j
	})
}

// submits counts the JobSubmit entries.
func (g *fakeGroup) submits() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.entries {
		if e.GetJobSubmit() != nil {
			n++
		}
	}
	return n
}

func (f *fake) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (f *fake) Leader() (id, address string, term uint64) {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	id = f.group.leader
	if f.believes != "" {
		id = f.believes
	}
	return id, id, 1
}

func (f *fake) IsLeader() bool {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	return f.group.leader == f.id && f.believes == ""
}

func (f *fake) Fresh(context.Context) error {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	if f.deposed {
		return ps.ErrNotLeader
	}
	return nil
}

func (f *fake) Propose(_ context.Context, e *api.Entry) error {
	if !f.IsLeader() {
		return ps.ErrNotLeader
	}
	f.group.update(func() { f.group.apply(e) })
	return nil
}

func (g *fakeGroup) apply(e *api.Entry) {
	g.entries = append(g.entries, e)
	switch {
	case e.GetJobSubmit() != nil:
		s := e.GetJobSubmit()
		if g.jobs[s.Job] != nil {
			return
		}
		g.control.Jobs = append(g.control.Jobs, &api.JobRecord{Submit: s, Phase: api.Phase_PHASE_QUEUED})
		g.jobs[s.Job] = &api.JobStatus{Job: s.Job, Name: s.Name, Phase: api.Phase_PHASE_QUEUED, JobFile: string(s.JobFile)}
	case e.GetDataCommit() != nil:
		g.control.Manifests = append(g.control.Manifests, e.GetDataCommit().ManifestDigest)
	case e.GetJobCancel() != nil:
		j := proto.CloneOf(g.jobs[e.GetJobCancel().Job])
		j.Phase = api.Phase_PHASE_CANCELLED
		g.jobs[j.Job] = j
	case e.GetJobPause() != nil:
		g.turn(e.GetJobPause().Job, e.GetJobPause().Turn, api.Phase_PHASE_PAUSED)
	case e.GetJobResume() != nil:
		g.turn(e.GetJobResume().Job, e.GetJobResume().Turn, api.Phase_PHASE_QUEUED)
	}
}

func (g *fakeGroup) turn(job string, turn uint64, phase api.Phase) {
	if j := proto.CloneOf(g.jobs[job]); j.Turn == turn {
		j.Phase, j.Turn = phase, turn+1
		g.jobs[job] = j
	}
}

func (f *fake) Control() *api.Control {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	return proto.CloneOf(f.group.control)
}

func (f *fake) Job(id string) (*api.JobStatus, bool) {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	j, ok := f.group.jobs[id]
	return proto.CloneOf(j), ok
}

func (f *fake) Jobs() (jobs []*api.JobStatus) {
	for _, r := range f.Control().GetJobs() {
		if j, ok := f.Job(r.GetSubmit().GetJob()); ok {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func (f *fake) Changed() <-chan struct{} {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	return f.group.changed
}

func (f *fake) Members() []ps.Member {
	if f.group == nil {
		return nil
	}
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	return slices.Clone(f.group.members)
}

func (f *fake) AddMember(_ context.Context, s ps.Server) error {
	if !f.IsLeader() {
		return ps.ErrNotLeader
	}
	f.group.update(func() { f.group.members = append(f.group.members, ps.Member{Server: s}) })
	return nil
}

func (f *fake) RemoveMember(ctx context.Context, id string) error {
	if !f.IsLeader() {
		return ps.ErrNotLeader
	}
	if id == f.id {
		if err := f.TransferLeadership(ctx, ""); err != nil {
			return err
		}
		return ps.ErrNotLeader
	}
	f.group.update(func() {
		f.group.members = slices.DeleteFunc(f.group.members, func(m ps.Member) bool { return m.ID == id })
	})
	return nil
}

// TransferLeadership hands over to id, or to the first other member.
func (f *fake) TransferLeadership(_ context.Context, id string) error {
	for _, m := range f.Members() {
		if id == "" && m.ID != f.id {
			id = m.ID
		}
	}
	f.group.lead(id)
	return nil
}

// Status names the replica that answers, so that a test sees which did.
func (f *fake) Status(context.Context) *api.ClusterStatus {
	leader, _, _ := f.Leader()
	return &api.ClusterStatus{Cluster: "answered by " + f.id, Leader: leader}
}

func (f *fake) Rows(_ string, from uint64) iter.Seq2[*api.LedgerRow, error] { return f.rows(from) }

func (f *fake) Checkpoint(string) (string, *api.CheckpointRecord, bool) {
	return f.checkpoint, f.record, f.checkpoint != ""
}

func (f *fake) FetchLog(_ *api.JobRequest, ss grpc.ServerStreamingServer[api.LogLine]) error {
	for _, line := range f.lines {
		if err := ss.Send(line); err != nil {
			return err
		}
	}
	return nil
}

// network is a set of listeners in memory.
type network struct {
	mu        sync.Mutex
	listeners map[string]*bufconn.Listener
}

func (n *network) listen(address string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := bufconn.Listen(1 << 20)
	n.listeners[address] = l
	return l
}

func (n *network) dial(ctx context.Context, address string) (net.Conn, error) {
	n.mu.Lock()
	l, ok := n.listeners[address]
	n.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("nobody listens on %s", address)
	}
	return l.DialContext(ctx)
}

// cluster is some servers around fakes; r1 leads at first.
type cluster struct {
	t       *testing.T
	group   *fakeGroup
	network *network
	servers map[string]*Server
	fakes   map[string]*fake
	stops   map[string]func()
}

const testLeaderWait = 2 * time.Second

func startCluster(t *testing.T, replicas int) *cluster {
	return startClusterWaiting(t, replicas, testLeaderWait)
}

func startClusterWaiting(t *testing.T, replicas int, wait time.Duration) *cluster {
	t.Helper()
	c := &cluster{
		t:       t,
		group:   &fakeGroup{leader: "r1", control: &api.Control{}, jobs: map[string]*api.JobStatus{}, changed: make(chan struct{})},
		network: &network{listeners: map[string]*bufconn.Listener{}},
		servers: map[string]*Server{}, fakes: map[string]*fake{}, stops: map[string]func(){},
	}
	var all []Peer
	for i := range replicas {
		id := fmt.Sprintf("r%d", i+1)
		all = append(all, Peer{ID: id, Address: id, RaftAddress: "raft of " + id})
		c.group.members = append(c.group.members, ps.Member{Server: ps.Server{ID: id, Address: id}, Voter: true})
	}
	for _, p := range all {
		c.start(p.ID, all, wait)
	}
	return c
}

func (c *cluster) start(id string, all []Peer, wait time.Duration) {
	c.t.Helper()
	f := &fake{group: c.group, id: id}
	s, err := Open(Config{
		ID: id, Dir: c.t.TempDir(), Listener: c.network.listen(id), Peers: all, LeaderWait: wait,
		RaftListener: bufconn.Listen(1), // the fakes have no Raft
		carrier:      bus.NewLocal(), dial: c.network.dial,
		open: func(Config, net.Listener, *peers) (replica, error) { return f, nil },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(c.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	c.servers[id], c.fakes[id] = s, f
	c.stops[id] = sync.OnceFunc(func() {
		cancel(ps.ErrKilled)
		if err := <-ended; err != nil {
			c.t.Errorf("replica %s: %v", id, err)
		}
	})
	c.t.Cleanup(c.stops[id])
}

// conn connects a client to one replica.
func (c *cluster) conn(id string) grpc.ClientConnInterface {
	c.t.Helper()
	p := &peers{dial: c.network.dial}
	conn, err := p.conn(id)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := p.close(); err != nil {
			c.t.Error(err)
		}
	})
	return conn
}

func (c *cluster) jobs(id string) api.JobsClient { return api.NewJobsClient(c.conn(id)) }

func (c *cluster) ctx() context.Context {
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	c.t.Cleanup(cancel)
	return ctx
}

const digitsJob = "model: lenet-relu\ndata: digits\n"

// submit hands in a job through the replica and returns its id.
func (c *cluster) submit(id string) string {
	c.t.Helper()
	reply, err := c.jobs(id).Submit(c.ctx(), &api.SubmitRequest{RequestId: "request-of-a-test-01", JobFile: []byte(digitsJob)})
	if err != nil {
		c.t.Fatal(err)
	}
	return reply.Job.Job
}

func wantCode(t *testing.T, err error, code codes.Code) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("error %v, want code %v", err, code)
	}
}

func steps(rows ...uint64) iter.Seq2[*api.LedgerRow, error] {
	return func(yield func(*api.LedgerRow, error) bool) {
		for _, step := range rows {
			if !yield(&api.LedgerRow{Step: step}, nil) {
				return
			}
		}
	}
}
