package ps

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/worker"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "replay one simulated run, with its story")
	simFirst = flag.Uint64("sim.first", 1, "the first seed of the simulated runs")
	simSeeds = flag.Uint64("sim.seeds", 300, "simulated runs")
)

// Faults strike within trouble; after it the cluster is whole, and the job must
// end within patience.
const (
	simTrouble  = 4 * time.Second
	simPatience = 30 * time.Second
)

// plot is what is settled about a run beforehand; what is zero the seed decides.
type plot struct {
	replicas, workers, microBatches, chunk int
	noClip                                 bool
	calm                                   bool // no faults but the script's, and nothing lost by chance
	flips                                  bool // fetched gradients may come damaged
	audit                                  float32
	rules                                  rules
	workerRules                            worker.Rules
	script                                 func(*world)
}

func newWorld(seed uint64, p plot, trace func(string, ...any)) *world {
	w := &world{
		plot: p, rng: rand.New(rand.NewPCG(seed, 1)), lastAt: map[route]time.Duration{}, cuts: map[wire]bool{},
		trace: trace, trouble: true,
	}
	w.holds = &invariants{w: w}
	pick := func(settled int, from ...int) int {
		if drawn := from[w.rng.IntN(len(from))]; settled == 0 {
			return drawn
		}
		return settled
	}
	w.recipe = simRecipe(pick(p.microBatches, 4, 8, 16))
	w.recipe.Epochs = 4 + w.rng.IntN(5)
	if p.noClip {
		w.recipe.Optimizer.ClipNorm = 0
	}
	w.chunk = pick(p.chunk, 1, 2, 7, simFloats)
	w.want = simTruth(w.recipe)
	for i := range pick(p.replicas, 1, 2, 3, 3, 3, 5) {
		w.replicas = append(w.replicas, newSimReplica(w, fmt.Sprintf("r%d", i+1)))
	}
	for i := range pick(p.workers, 1, 2, 3, 4) {
		w.workers = append(w.workers, newSimWorker(w, fmt.Sprintf("w%d", i+1)))
	}
	if !p.calm && p.audit == 0 && w.chance(0.2) {
		p.audit = 0.3
	}
	submit, err := proto.Marshal(&api.Entry{Body: &api.Entry_JobSubmit{JobSubmit: &api.JobSubmit{
		Job: simJob, Recipe: w.recipe.Canonical(), CheckpointEvery: uint64(w.rng.IntN(4)), WorkersMin: 1, Audit: p.audit,
	}}})
	if err != nil {
		panic(err)
	}
	for _, r := range w.replicas { // the job was submitted before the story begins
		r.raft.log, r.raft.term = []simEntry{{1, submit}}, 1
		r.start()
	}
	for i, k := range w.workers {
		from := 300 * time.Millisecond
		if i > 0 && w.chance(0.2) {
			from = simTrouble // it joins while the job runs
		}
		w.after(w.between(0, from), k.start)
	}
	w.flips = p.flips || (!p.calm && w.chance(0.1))
	w.strike()
	return w
}

// strike settles what goes wrong, and when it is over.
func (w *world) strike() {
	if w.plot.script != nil {
		w.plot.script(w)
	}
	if w.plot.calm {
		w.trouble = false
	} else {
		if w.plot.audit == 0 {
			w.alike, w.kind = w.chance(0.3), w.rng.IntN(1000)
		}
		for range w.rng.IntN(12) {
			w.after(w.between(100*time.Millisecond, simTrouble), w.fault)
		}
		if w.chance(0.05) {
			w.after(w.between(time.Second, simTrouble), w.cancelJob)
		}
	}
	w.healed = simTrouble + 2500*time.Millisecond
	w.after(w.healed, func() {
		w.trouble, w.aim = false, nil
		for _, p := range w.processes() {
			p.fuse = 0
			if !p.up {
				p.boot()
			}
		}
		w.trace("%v: the trouble is over", w.now)
	})
}

// run goes on until the job has ended on all replicas and returns why that is
// wrong, or "".
func (w *world) run() string {
	for len(w.holds.broken) == 0 && w.now < w.healed+simPatience && len(w.queue) > 0 {
		t := heap.Pop(&w.queue).(task)
		w.now = t.at
		t.do()
		w.holds.progress()
		if w.over() {
			w.holds.end()
			return strings.Join(w.holds.broken, "\n")
		}
	}
	if len(w.holds.broken) == 0 {
		w.violated("I6: the job has not ended")
	}
	return strings.Join(w.holds.broken, "\n")
}

func (w *world) over() bool {
	for _, r := range w.replicas {
		if !r.up || r.applied == 0 || !ended(r.fsm.state.Jobs[0].Phase) {
			return false
		}
	}
	return true
}

func silent(string, ...any) {}

// TestSimulatedFaults runs clusters from seeds: whatever goes wrong on the way,
// each ends with the state of the run without faults. `make sim SEEDS=n` runs
// more of them.
func TestSimulatedFaults(t *testing.T) {
	if *simSeed != 0 {
		if failure := newWorld(*simSeed, plot{}, t.Logf).run(); failure != "" {
			t.Fatal(failure)
		}
		return
	}
	count := *simSeeds
	if testing.Short() {
		count /= 5
	}
	simulate(t, *simFirst, count)
}

// simulate shares the runs out over the cores, and says how far it is where they
// are many.
func simulate(t *testing.T, first, count uint64) {
	var next, failed atomic.Uint64
	next.Store(first)
	begun, told := time.Now(), time.Now()
	var mu sync.Mutex
	var longest time.Duration
	var slowest uint64
	redone := 0
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for failed.Load() < 10 {
				seed := next.Add(1) - 1
				if seed >= first+count {
					return
				}
				w := newWorld(seed, plot{}, silent)
				failure := w.run()
				mu.Lock()
				redone += w.holds.redone
				if w.holds.longest > longest {
					longest, slowest = w.holds.longest, seed
				}
				if failure != "" {
					failed.Add(1)
					t.Errorf("seed %d: %s\nreplay it with: go test ./ps -run TestSimulatedFaults -v -sim.seed %d", seed, failure, seed)
				}
				if now := time.Now(); now.Sub(told) > 10*time.Second {
					told = now
					fmt.Fprintf(os.Stderr, "%d of %d simulated runs in %v, %d failed\n", seed-first+1, count, now.Sub(begun).Round(time.Second), failed.Load())
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	t.Logf("%d steps were done again; once all was well the longest wait for the next step was %v, in seed %d", redone, longest, slowest)
}

// TestSimulationReplays: a seed tells one story. A decision that depends on the
// order of a map would tell two.
func TestSimulationReplays(t *testing.T) {
	for seed := uint64(1); seed <= 15; seed++ {
		var stories [2]strings.Builder
		for i := range stories {
			newWorld(seed, plot{}, func(format string, args ...any) { fmt.Fprintf(&stories[i], format+"\n", args...) }).run()
		}
		if a, b := stories[0].String(), stories[1].String(); a != b {
			t.Errorf("seed %d tells two stories:\n%s\n---\n%s", seed, a, b)
		}
	}
}
