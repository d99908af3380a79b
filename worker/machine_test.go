package worker

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"convoy/api"
	"convoy/bus"
	"convoy/digest"
	"convoy/job"
	"convoy/optim"
	"convoy/state"
	"convoy/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testID     = "job-1"
	testFloats = 40
)

func testJob() *state.Job {
	return state.NewJob(testID, job.Recipe{
		Model: "toy",
		Data: job.Data{
			Name: "toy", Manifest: strings.Repeat("ab", 32), Train: 37, Test: 3,
			Classes: 2, Channels: 1, Height: 1, Width: 1,
		},
		Epochs: 2, Batch: 10, MicroBatches: 4, Seed: 1, Algorithm: job.AlgorithmAuto, Loss: job.LossAuto,
		Optimizer: job.Optimizer{LR: 0.5}, Wire: job.WireFloat32, ArithmeticVersion: job.ArithmeticVersion,
	})
}

// leaderKeeper plays the leader's state, some steps into the job.
func leaderKeeper(steps int) *state.Keeper {
	j := testJob()
	s := optim.NewState([]optim.Tensor{{Name: "w", Dims: []int{testFloats}}}, make([]float32, testFloats), j.SGD)
	k := state.NewKeeper(j, s, 0, digest.Chain0(j.Hash, s.Digest()))
	for range steps {
		k.Apply(gradientOf(k))
	}
	return k
}

func gradientOf(k *state.Keeper) *state.Gradient {
	data := make([]float32, k.GradientLen(k.Step()))
	for i := range data {
		data[i] = float32(i + k.Step())
	}
	g := &state.Gradient{Row: k.NewRow(data, state.Sums{Examples: k.Job().Sequence.At(k.Step()).Examples}), Data: data}
	if len(data) > 0 {
		g.Row.Chunks = 1
	}
	return g
}

func from(id string, term uint64, e *api.Envelope, data []float32) Received {
	e.From, e.Term, e.Job = id, term, testID
	return Received{bus.New(e, data)}
}

func plan(term, version uint64, low, high int) Received {
	return from("r1", term, &api.Envelope{Body: &api.Envelope_Plan{Plan: &api.Plan{Version: version, Leader: "r1", Low: uint32(low), High: uint32(high)}}}, nil)
}

func head(k *state.Keeper) Received {
	hash, chain := k.Job().Hash, k.Chain()
	return from("r1", 1, &api.Envelope{Body: &api.Envelope_Head{Head: &api.Head{RecipeHash: hash[:], Leader: "r1", Step: uint64(k.Step()), Chain: chain[:]}}}, nil)
}

// stream is a gradient as the leader sends it: one chunk and the row.
func stream(g *state.Gradient) []Event {
	var events []Event
	if len(g.Data) > 0 {
		events = append(events, from("r1", 1, &api.Envelope{Body: &api.Envelope_Gradient{
			Gradient: &api.Gradient{RecipeHash: g.Row.RecipeHash, Step: g.Row.Step, Chunks: 1},
		}}, g.Data))
	}
	return append(events, from("r1", 1, &api.Envelope{Body: &api.Envelope_Row{Row: g.Row}}, nil))
}

// driver steps a machine and keeps what it asked for.
type driver struct {
	t   *testing.T
	m   *Machine
	now time.Duration
	got []Action
}

func newDriver(t *testing.T, chunkFloats int) *driver {
	return &driver{t: t, m: NewMachine(MachineConfig{Cluster: "c", Self: "w1", Incarnation: "i", Threads: 1, ChunkFloats: chunkFloats}), now: time.Minute}
}

func (d *driver) step(events ...Event) []Action {
	d.got = nil
	for _, ev := range events {
		d.got = append(d.got, d.m.Step(d.now, ev)...)
	}
	return d.got
}

// joined is a driver whose machine holds the leader's state and has the plan.
func joined(t *testing.T, k *state.Keeper, chunkFloats, low, high int) *driver {
	t.Helper()
	d := newDriver(t, chunkFloats)
	d.step(plan(1, 1, low, high))
	d.step(Joined{ID: testID, Job: k.Job()})
	d.step(FetchedState{Job: testID, Copy: k.Copy()})
	return d
}

func asked[T Action](actions []Action) (all []T) {
	for _, a := range actions {
		if a, ok := a.(T); ok {
			all = append(all, a)
		}
	}
	return all
}

func partials(actions []Action) (all []*api.Partial) {
	for _, s := range asked[Send](actions) {
		if p := s.Message.GetPartial(); p != nil {
			all = append(all, p)
		}
	}
	return all
}

func computed(step, low, high int) Computed {
	return Computed{Step: step, Node: tree.Node{Low: low, High: high}, Data: make([]float32, testFloats), Sums: state.Sums{Examples: 1}}
}

// A plan for a job makes a worker join, fetch, compute and send.
func TestJoinAndCompute(t *testing.T) {
	k := leaderKeeper(2)
	d := newDriver(t, 0)
	if got := asked[Join](d.step(plan(1, 1, 0, 3))); len(got) != 1 || got[0].Job != testID {
		t.Fatalf("a plan: %v", d.got)
	}
	if got := asked[FetchState](d.step(Joined{ID: testID, Job: k.Job()})); len(got) != 1 {
		t.Fatalf("joined: %v", d.got)
	}
	c := asked[Compute](d.step(FetchedState{Job: testID, Copy: k.Copy()}))
	if len(c) != 1 || c[0].Step != 2 || !slices.Equal(c[0].Nodes, tree.Cover(0, 3)) {
		t.Fatalf("with the state: %v", d.got)
	}
	p := partials(d.step(computed(2, 0, 2)))
	chain := k.Chain()
	if len(p) != 1 || p[0].High != 2 || string(p[0].Chain) != string(chain[:]) {
		t.Fatalf("computed: %v", d.got)
	}
	if again := partials(d.step(computed(2, 2, 3), Idle{}, Tick{})); len(again) != 1 {
		t.Errorf("sent %d partials for one node", len(again))
	}
	if len(asked[Compute](d.got)) != 0 {
		t.Error("computes the same again")
	}
}

// What came before the first state is not lost.
func TestEarlyMessagesAreKept(t *testing.T) {
	k := leaderKeeper(2)
	d := newDriver(t, 0)
	d.step(plan(1, 1, 0, 4), Joined{ID: testID, Job: k.Job()})
	fetched := k.Copy()
	for range 2 {
		g := gradientOf(k)
		d.step(stream(g)...)
		k.Apply(g)
	}
	c := asked[Compute](d.step(FetchedState{Job: testID, Copy: fetched}))
	if len(c) != 1 || c[0].Step != 4 || c[0].State.Digest() != k.State().Digest() {
		t.Errorf("computes %v, want step 4", c)
	}
}

// While the state is computed on nobody writes to it; a plan that comes then
// counts afterwards.
func TestStateIsLeftAloneWhileComputing(t *testing.T) {
	k := leaderKeeper(0)
	d := joined(t, k, 0, 0, 4)
	before := d.m.keeper.State().Digest()
	g := gradientOf(k)
	d.step(stream(g)...)
	d.step(plan(1, 2, 0, 1), Tick{})
	if d.m.keeper.Step() != 0 || d.m.keeper.State().Digest() != before || len(asked[Compute](d.got)) != 0 {
		t.Fatal("the state moved under the computation")
	}
	k.Apply(g)
	c := asked[Compute](d.step(computed(0, 0, 4), Idle{}))
	if d.m.keeper.State().Digest() != k.State().Digest() || len(c) != 1 || c[0].Step != 1 || !slices.Equal(c[0].Nodes, tree.Cover(0, 1)) {
		t.Errorf("afterwards: step %d, computes %v", d.m.keeper.Step(), c)
	}
}

// An older plan is ignored; a plan of a new term makes it send again what the
// former leader may have had alone.
func TestPlansOfOldAreIgnored(t *testing.T) {
	d := joined(t, leaderKeeper(0), 0, 0, 4)
	d.step(computed(0, 0, 4), Idle{})
	d.step(plan(1, 0, 0, 1))
	d.step(plan(0, 9, 0, 1))
	if d.m.plan.high != 4 {
		t.Errorf("the plan is %+v", d.m.plan)
	}
	if p := partials(d.step(plan(2, 1, 0, 4))); len(p) != 1 {
		t.Errorf("%d partials for the new leader, want 1", len(p))
	}
}

// Want sends again what was lost and computes what was not planned.
func TestWant(t *testing.T) {
	d := joined(t, leaderKeeper(0), 0, 0, 2)
	d.step(computed(0, 0, 2), Idle{})
	want := func(step uint64, low, high uint32) Received {
		return from("r1", 1, &api.Envelope{Body: &api.Envelope_Want{Want: &api.Want{Step: step, Low: low, High: high}}}, nil)
	}
	if p := partials(d.step(want(0, 0, 1))); len(p) != 1 || p[0].High != 2 {
		t.Errorf("wanted [0,1): %v", p)
	}
	if c := asked[Compute](d.step(want(0, 2, 4))); len(c) != 1 || !slices.Equal(c[0].Nodes, tree.Cover(2, 4)) {
		t.Errorf("wanted [2,4): %v", c)
	}
	d.step(computed(0, 2, 4), Idle{})
	for _, w := range []Received{want(1, 0, 2), want(0, 2, 2), want(0, 3, 1), want(0, 0, 5), want(0, 1<<31, 1<<31+1)} {
		if got := d.step(w); len(partials(got))+len(asked[Compute](got)) != 0 {
			t.Errorf("%v: %v", w.GetWant(), got)
		}
	}
}

// A window of chunks goes out ahead of credits; what is wanted goes before what
// waits.
func TestPartialsKeepTheWindow(t *testing.T) {
	d := joined(t, leaderKeeper(0), 1, 0, 3)
	credit := func(low, high, chunks uint32) Received {
		return from("r1", 1, &api.Envelope{Body: &api.Envelope_Credit{Credit: &api.Credit{Low: low, High: high, Chunks: chunks}}}, nil)
	}
	if n := len(partials(d.step(computed(0, 0, 2), computed(0, 2, 3), Idle{}))); n != window {
		t.Fatalf("%d chunks without credit, want %d", n, window)
	}
	if n := len(partials(d.step(credit(0, 2, 8), credit(0, 2, 8), credit(1, 2, 40)))); n != 8 {
		t.Errorf("%d chunks after 8 were acknowledged, want 8", n)
	}
	want := from("r1", 1, &api.Envelope{Body: &api.Envelope_Want{Want: &api.Want{Low: 2, High: 3}}}, nil)
	p := partials(d.step(want))
	if len(p) != window || p[0].Low != 2 {
		t.Errorf("%d chunks after [2,3) was wanted: the credits of [0,2) hold it up", len(p))
	}
	p = partials(d.step(credit(2, 3, testFloats)))
	if len(p) != testFloats-window || p[0].Low != 2 || p[0].Chunk != window {
		t.Errorf("%d chunks follow, want %d of [2,3)", len(p), testFloats-window)
	}
}

// A leader that is one step behind is offered the gradient; one further behind
// cannot be helped, and the worker goes back to it.
func TestOfferToALeaderThatIsBehind(t *testing.T) {
	k := leaderKeeper(0)
	d := joined(t, k, 0, 0, 0)
	behind := []Received{head(k)}
	for range 2 {
		g := gradientOf(k)
		d.step(stream(g)...)
		k.Apply(g)
		behind = append(behind, head(k))
	}
	rows := 0
	for _, s := range asked[Send](d.step(behind[1])) {
		if s.Message.GetRow() != nil && s.Message.GetRow().Step == 1 && s.Subject == bus.ReplicaIn("c", "r1") {
			rows++
		}
	}
	if rows != 1 || len(asked[FetchState](d.got)) != 0 {
		t.Errorf("one step behind: %v", d.got)
	}
	d.now += 2 * offerEvery
	if len(asked[FetchState](d.step(behind[0]))) != 1 {
		t.Errorf("two steps behind: %v", d.got)
	}
	d.step(FetchedState{Job: testID, Copy: leaderKeeper(0).Copy()})
	if d.m.keeper.Step() != 0 {
		t.Errorf("it stays at step %d", d.m.keeper.Step())
	}
}

// What the bus lost is fetched: one gradient if that is all, else the state.
func TestRepair(t *testing.T) {
	for _, c := range []struct {
		ahead int
		state bool
	}{{1, false}, {3, true}} {
		d := joined(t, leaderKeeper(0), 0, 0, 0)
		k := leaderKeeper(c.ahead)
		d.step(head(k), Tick{})
		if len(asked[FetchGradient](d.got))+len(asked[FetchState](d.got)) != 0 {
			t.Error("fetches at once")
		}
		d.now += repairAfter + 1
		d.step(Tick{})
		if (len(asked[FetchState](d.got)) == 1) != c.state || (len(asked[FetchGradient](d.got)) == 1) == c.state {
			t.Errorf("%d ahead: %v", c.ahead, d.got)
		}
		d.now += time.Second
		if d.step(Tick{}); len(asked[FetchState](d.got))+len(asked[FetchGradient](d.got)) != 0 {
			t.Error("fetches twice at a time")
		}
		if c.state {
			d.step(FetchedState{Job: testID, Copy: k.Copy()})
		} else {
			d.step(FetchedGradient{Job: testID, Gradient: k.Last()})
		}
		if d.m.keeper.Step() != c.ahead || d.m.keeper.Chain() != k.Chain() {
			t.Errorf("at step %d, want %d", d.m.keeper.Step(), c.ahead)
		}
	}
}

// A gradient that nobody has any more is made up for by the state.
func TestGoneGradient(t *testing.T) {
	d := joined(t, leaderKeeper(0), 0, 0, 0)
	d.step(head(leaderKeeper(1)), Tick{})
	d.now += repairAfter + 1
	d.step(Tick{})
	if len(asked[FetchState](d.step(FetchedGradient{Job: testID, Err: errors.New("gone")}))) != 1 {
		t.Errorf("got %v", d.got)
	}
}

// A failure to join is told, tried again, and forgotten once it succeeds.
func TestFailedJoinIsTriedAgain(t *testing.T) {
	k := leaderKeeper(0)
	d := newDriver(t, 0)
	d.step(plan(1, 1, 0, 4), Joined{ID: testID, Err: errors.New("no data")})
	if d.m.problem == "" || len(asked[Join](d.step(Tick{}))) != 0 {
		t.Error("the problem is not told, or there is no pause")
	}
	d.now += rejoinAfter
	if len(asked[Join](d.step(Tick{}))) != 1 {
		t.Fatalf("not tried again: %v", d.got)
	}
	d.step(Joined{ID: testID, Job: k.Job()}, FetchedState{Job: testID, Err: errors.New("no replica answers")})
	d.now += rejoinAfter
	if len(asked[FetchState](d.step(Tick{}))) != 1 {
		t.Fatalf("the state is not tried again: %v", d.got)
	}
	if d.step(FetchedState{Job: testID, Copy: k.Copy()}); len(asked[Compute](d.got)) != 1 || d.m.problem != "" {
		t.Errorf("problem %q after it joined; %v", d.m.problem, d.got)
	}
}

// Answers for a job that was left are not taken for the next one's.
func TestAnswersOfAnotherJobAreIgnored(t *testing.T) {
	d := joined(t, leaderKeeper(0), 0, 0, 0)
	other := plan(1, 1, 0, 4)
	other.Job = "job-2"
	if len(asked[Drop](d.step(other))) != 1 || len(asked[Join](d.got)) != 1 {
		t.Fatalf("another job: %v", d.got)
	}
	d.step(FetchedState{Job: testID, Copy: leaderKeeper(1).Copy()}, Joined{ID: testID, Err: errors.New("late")},
		FetchedGradient{Job: testID, Err: errors.New("late")})
	if d.m.keeper != nil || d.m.problem != "" || !d.m.joining || len(asked[FetchState](d.got)) != 0 {
		t.Errorf("keeper %v, problem %q, joining %v", d.m.keeper, d.m.problem, d.m.joining)
	}
	home := plan(1, 2, 0, 0)
	home.Job = ""
	if len(asked[Drop](d.step(home))) != 1 || d.m.jobID != "" {
		t.Errorf("sent home: %v", d.got)
	}
}

// A state that differs from the leader's is replaced; the second time the worker
// computes no more.
func TestDifferingStateIsReplaced(t *testing.T) {
	k := leaderKeeper(0)
	d := joined(t, k, 0, 0, 0)
	spoil := func() {
		g := gradientOf(k)
		g.Row.StateDigest = make([]byte, 32)
		d.step(stream(g)...)
	}
	spoil()
	if len(asked[FetchState](d.got)) != 1 || d.m.problem != "" {
		t.Fatalf("the first time: %v, problem %q", d.got, d.m.problem)
	}
	d.step(FetchedState{Job: testID, Copy: k.Copy()})
	spoil()
	if d.m.problem == "" {
		t.Error("the second time passes")
	}
	d.step(FetchedState{Job: testID, Copy: k.Copy()}, plan(1, 2, 0, 4))
	if len(asked[Compute](d.got)) != 0 {
		t.Error("it computes with a machine that errs")
	}
}

func TestLeaveSaysSo(t *testing.T) {
	d := joined(t, leaderKeeper(0), 0, 0, 4)
	s := asked[Send](d.step(Leave{}))
	if len(s) != 1 || !s[0].Message.GetHello().GetLeaving() {
		t.Errorf("got %v", d.got)
	}
}

// due covers what is planned or wanted, is not done and has examples.
func TestDue(t *testing.T) {
	seq := testJob().Sequence
	const evaluation = 4 // 3 examples in 4 micro-batches: the first is absent
	for _, c := range []struct {
		name      string
		step      int
		done      []tree.Node
		extra     []tree.Node
		low, high int
		want      []tree.Node
	}{
		{"all", 0, nil, nil, 0, 4, []tree.Node{{Low: 0, High: 4}}},
		{"nothing planned", 0, nil, nil, 0, 0, nil},
		{"the rest", 0, []tree.Node{{Low: 0, High: 1}}, nil, 0, 4, []tree.Node{{Low: 1, High: 2}, {Low: 2, High: 4}}},
		{"wanted too", 0, nil, []tree.Node{{Low: 3, High: 4}}, 0, 1, []tree.Node{{Low: 0, High: 1}, {Low: 3, High: 4}}},
		{"wanted and done", 0, []tree.Node{{Low: 2, High: 4}}, []tree.Node{{Low: 2, High: 4}}, 0, 0, nil},
		{"absent", evaluation, nil, nil, 0, 1, nil},
		{"absent and more", evaluation, nil, nil, 0, 3, []tree.Node{{Low: 0, High: 2}, {Low: 2, High: 3}}},
	} {
		r := results{step: c.step, extra: c.extra}
		for _, n := range c.done {
			r.add(Computed{Step: c.step, Node: n})
		}
		if got := r.due(seq, c.low, c.high, 1); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A copy of a node is computed as a whole beside what is done of it, goes out
// before what waits for credits, and is sent again when it is wanted again.
func TestCopies(t *testing.T) {
	d := joined(t, leaderKeeper(0), 1, 0, 2)
	copied := func(step uint64, low, high uint32) Received {
		return from("r1", 1, &api.Envelope{Body: &api.Envelope_Want{Want: &api.Want{Step: step, Low: low, High: high, Copy: true}}}, nil)
	}
	d.step(computed(0, 0, 2), Idle{}) // its chunks get no credit
	c := asked[Compute](d.step(copied(0, 0, 4), copied(0, 0, 4)))
	if len(c) != 1 || !slices.Equal(c[0].Nodes, []tree.Node{{Low: 0, High: 4}}) {
		t.Fatalf("a copy of [0,4): %v", c)
	}
	if p := partials(d.step(computed(0, 0, 4))); len(p) != window || p[0].High != 4 {
		t.Errorf("%d chunks of the copy, want %d of [0,4)", len(p), window)
	}
	if p := partials(d.step(Idle{}, copied(0, 0, 4))); len(p) != window || p[0].High != 4 {
		t.Errorf("%d chunks when it is wanted again", len(p))
	}
	for _, w := range []Received{copied(0, 1, 3), copied(0, 2, 2), copied(0, 0, 8)} {
		if got := d.step(w); len(asked[Compute](got)) != 0 {
			t.Errorf("%v: %v", w.GetWant(), got)
		}
	}
}

// What is wanted of a step that comes is kept until it is there; what is wanted of
// another is not.
func TestWantsOvertakeTheGradient(t *testing.T) {
	k := leaderKeeper(0)
	d := joined(t, k, 0, 0, 1)
	d.step(computed(0, 0, 1), Idle{})
	for _, step := range []uint64{1, 2, 1000} {
		d.step(from("r1", 1, &api.Envelope{Body: &api.Envelope_Want{Want: &api.Want{Step: step, Low: uint32(step) % 4, High: uint32(step)%4 + 1, Copy: true}}}, nil))
	}
	if len(d.m.wants) != 2 {
		t.Errorf("%d wants are kept, want 2", len(d.m.wants))
	}
	for step, want := range [][]tree.Node{1: {{Low: 0, High: 1}, {Low: 1, High: 2}}, 2: {{Low: 0, High: 1}, {Low: 2, High: 3}}} {
		if want == nil {
			continue
		}
		g := gradientOf(k)
		k.Apply(g)
		c := asked[Compute](d.step(stream(g)...))
		if len(c) != 1 || !slices.Equal(c[0].Nodes, want) {
			t.Fatalf("step %d computes %v, want %v", step, c, want)
		}
		for _, n := range want {
			d.step(computed(step, n.Low, n.High))
		}
		d.step(Idle{})
	}
	if len(d.m.wants) != 0 {
		t.Errorf("%d wants are left", len(d.m.wants))
	}
}

// A plan for the step that comes does not have the worker compute what is done.
func TestPlansForTheNextStep(t *testing.T) {
	k := leaderKeeper(0)
	d := joined(t, k, 0, 0, 2)
	d.step(computed(0, 0, 2), Idle{})
	next := plan(1, 2, 0, 4)
	next.GetPlan().Step = 1
	if c := asked[Compute](d.step(next, Tick{})); len(c) != 0 {
		t.Fatalf("it computes %v of a step whose gradient is out", c)
	}
	c := asked[Compute](d.step(stream(gradientOf(k))...))
	if len(c) != 1 || c[0].Step != 1 || !slices.Equal(c[0].Nodes, tree.Cover(0, 4)) {
		t.Errorf("it computes %v of step 1, want [0,4)", c)
	}
}
