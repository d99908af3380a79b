package ps

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"convoy/api"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "replay one simulated run, with its story")
	simSeeds = flag.Int("sim.seeds", 200, "simulated runs")
)

// Faults strike within trouble; after it the cluster is whole, and the job must
// end within patience.
const (
	simTrouble  = 4 * time.Second
	simPatience = 30 * time.Second
)

func newWorld(seed uint64, trace func(string, ...any)) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 1)), lastAt: map[string]time.Duration{},
		trace: trace, trouble: true,
	}
	w.recipe = simRecipe(4 << w.rng.IntN(2))
	w.chunk = []int{1, 2, 7, simFloats}[w.rng.IntN(4)]
	w.want = simTruth(w.recipe)
	for i := range []int{1, 2, 3, 3, 3, 5}[w.rng.IntN(6)] {
		w.replicas = append(w.replicas, &simReplica{process: process{w: w, id: fmt.Sprintf("r%d", i+1)}, disk: map[int]WriteCheckpoint{}})
	}
	for i := range 1 + w.rng.IntN(4) {
		w.workers = append(w.workers, &simWorker{process: process{w: w, id: fmt.Sprintf("w%d", i+1)}})
	}
	for _, r := range w.replicas {
		r.start()
	}
	for _, k := range w.workers {
		w.after(w.between(0, 300*time.Millisecond), k.start)
	}
	submit, err := proto.Marshal(&api.Entry{Body: &api.Entry_JobSubmit{JobSubmit: &api.JobSubmit{
		Job: simJob, Recipe: w.recipe.Canonical(), CheckpointEvery: uint64(w.rng.IntN(4)), WorkersMin: 1,
	}}})
	if err != nil {
		panic(err)
	}
	w.log.entries = append(w.log.entries, &raft.Log{Index: 1, Data: submit})
	for _, r := range w.replicas {
		r.pump()
	}
	w.vote(w.between(time.Millisecond, 500*time.Millisecond))
	for range w.rng.IntN(9) {
		w.after(w.between(100*time.Millisecond, simTrouble), w.fault)
	}
	w.after(simTrouble+2*time.Second, func() { w.trouble = false; w.trace("%v: the trouble is over", w.now) })
	return w
}

// fault does one bad thing, and mends it within two seconds.
func (w *world) fault() {
	mended := w.between(10*time.Millisecond, 2*time.Second)
	r := w.replicas[w.rng.IntN(len(w.replicas))]
	k := w.workers[w.rng.IntN(len(w.workers))]
	switch w.rng.IntN(8) {
	case 0, 1:
		if k.up {
			k.kill()
			w.after(mended, k.start)
		}
	case 2, 3:
		if r.up {
			r.kill()
			w.after(mended, r.start)
		}
	case 4:
		w.trace("%v: a vote out of turn", w.now)
		w.vote(time.Millisecond)
	case 5:
		w.trace("%v: NATS is down for %v", w.now, mended)
		w.natsDown = true
		w.after(mended, func() { w.natsDown = false })
	case 6:
		p := &r.process
		if w.chance(0.5) {
			p = &k.process
		}
		w.trace("%v: %s is without NATS for %v", w.now, p.id, mended)
		p.natsDown = true
		w.after(mended, func() { p.natsDown = false })
	case 7:
		w.trace("%v: %s and %s freeze for %v", w.now, r.id, k.id, mended)
		r.frozen, k.frozen = w.now+mended, w.now+mended
		if w.log.leader == r.id && mended > 500*time.Millisecond {
			w.after(500*time.Millisecond, func() { w.vote(time.Millisecond) })
		}
	}
}

// run goes on until the job has ended on all replicas and returns why that is
// wrong, or "".
func (w *world) run() string {
	for len(w.broken) == 0 && w.now < simTrouble+2*time.Second+simPatience && len(w.queue) > 0 {
		t := heap.Pop(&w.queue).(task)
		w.now = t.at
		t.do()
		if w.over() {
			w.checkEnd()
			return strings.Join(w.broken, "\n")
		}
	}
	if len(w.broken) > 0 {
		return strings.Join(w.broken, "\n")
	}
	var at []string
	for _, r := range w.replicas {
		at = append(at, fmt.Sprintf("%s: %v, %v", r.id, r.holds(), r.fsm.snapshot()))
	}
	return fmt.Sprintf("the job has not ended by %v:\n%s", w.now, strings.Join(at, "\n"))
}

func (w *world) over() bool {
	for _, r := range w.replicas {
		if r.applied == 0 || !ended(r.fsm.state.Jobs[0].Phase) {
			return false
		}
	}
	return true
}

// checkEnd holds the record and the ledgers against the truth: each step once,
// with every micro-batch in one share.
func (w *world) checkEnd() {
	last := w.want[len(w.want)-1].digest
	for _, r := range w.replicas {
		record := r.fsm.snapshot().Jobs[0]
		if record.Phase != api.Phase_PHASE_FINISHED || string(record.LastDigest) != string(last[:]) {
			w.violated("%s: the job ends as %v (%s) with digest %x, want %s", r.id, record.Phase, record.Reason, record.LastDigest, last)
		}
		if len(r.rows) != len(w.want)-1 {
			w.violated("I1: %s has %d rows, want %d", r.id, len(r.rows), len(w.want)-1)
			continue
		}
		for t, row := range r.rows {
			if row.Step != uint64(t) || string(row.Chain) != string(w.want[t+1].chain[:]) {
				w.violated("I1: row %d of %s is of step %d with chain %x", t, r.id, row.Step, row.Chain)
			}
			w.checkShares(t, row)
		}
	}
}

func (w *world) checkShares(t int, row *api.LedgerRow) {
	seen := make([]int, w.recipe.MicroBatches)
	for _, s := range row.Shares {
		for m := s.Low; m < s.High; m++ {
			seen[m]++
		}
	}
	for m, n := range seen {
		low, high := w.recipe.Sequence().Positions(t, m)
		if n > 1 || (n == 0 && low < high) {
			w.violated("I5: micro-batch %d of step %d is in %d shares", m, t, n)
		}
	}
}

func silent(string, ...any) {}

// TestSimulatedFaults runs clusters from seeds: whatever goes wrong on the way,
// each ends with the state of the run without faults.
func TestSimulatedFaults(t *testing.T) {
	if *simSeed != 0 {
		if failure := newWorld(*simSeed, t.Logf).run(); failure != "" {
			t.Fatal(failure)
		}
		return
	}
	for seed := uint64(1); seed <= uint64(*simSeeds); seed++ {
		if failure := newWorld(seed, silent).run(); failure != "" {
			t.Errorf("seed %d: %s\nreplay it with: go test ./ps -run TestSimulatedFaults -v -sim.seed %d", seed, failure, seed)
		}
	}
}

// TestSimulationReplays: a seed tells one story. A decision that depends on the
// order of a map would tell two.
func TestSimulationReplays(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		var stories [2]strings.Builder
		for i := range stories {
			newWorld(seed, func(format string, args ...any) { fmt.Fprintf(&stories[i], format+"\n", args...) }).run()
		}
		if a, b := stories[0].String(), stories[1].String(); a != b {
			t.Errorf("seed %d tells two stories:\n%s\n---\n%s", seed, a, b)
		}
	}
}
