package ps

import (
	"fmt"
	"testing"
	"time"
)

// scenario is a fault that is aimed: it strikes in the middle of what it could
// harm, and nothing else goes wrong unless it says so.
type scenario struct {
	plot   plot
	demand func(*world) string // more than the invariants ask for
}

// scenarioSeeds is how many runs each scenario has; it must come about in most.
const scenarioSeeds = 20

var scenarios = map[string]scenario{
	"leader and worker die between the chunks of a gradient": {
		plot: plot{replicas: 3, workers: 3, chunk: 7, calm: true, script: func(w *world) {
			step, chunk := w.trainingStep(), uint32(1+w.rng.IntN(5))
			w.aim = func(p *process, a any) bool {
				if c := gradientChunk(a); c == nil || c.Step != step || c.Chunk != chunk {
					return false
				}
				w.struck, w.aim, p.back = 1, nil, 2*time.Second
				w.workers[w.rng.IntN(3)].crash(time.Second)
				return true
			}
		}},
	},
	"leader dies with a gradient that workers alone hold": {
		plot:   plot{replicas: 3, chunk: 7, calm: true, script: orphanGradient},
		demand: nothingRedone,
	},
	"a replica that lags wins the election": {
		plot: plot{replicas: 3, workers: 2, calm: true, script: laggard},
	},
	"leader publishes while no replica hears it, and dies": {
		plot: plot{replicas: 3, workers: 2, calm: true, script: func(w *world) {
			w.atLeader(func(*simReplica) { w.unheard(500 * time.Millisecond) })
		}},
	},
	"leader dies and is back with nothing before the election": {
		plot: plot{replicas: 3, calm: true, script: func(w *world) {
			w.atLeader(func(l *simReplica) { w.forget(l, 100*time.Millisecond) })
		}},
	},
	"leader is cut off from Raft alone and leads on for its lease": {
		plot: plot{replicas: 3, calm: true, script: func(w *world) {
			w.atLeader(func(l *simReplica) { w.isolate(&l.process, 1500*time.Millisecond, raftNet) })
		}},
	},
	"leader freezes past its lease and goes on": {
		plot: plot{replicas: 3, calm: true, script: func(w *world) {
			w.atLeader(func(l *simReplica) { l.freeze(w.between(simLease, 3*time.Second)) })
		}},
	},
	"leader has Raft but no NATS": {
		plot: plot{replicas: 3, workers: 2, calm: true, script: func(w *world) {
			w.atLeader(func(l *simReplica) {
				w.withoutNATS(&l.process, 4*time.Second, w.chance(0.5), true)
				w.after(3*time.Second, func() {
					if w.leader() == l && !w.over() {
						w.violated("%s leads on without NATS", l.id)
					}
				})
			})
		}},
	},
	"Raft and NATS split five replicas in different ways": {
		plot: plot{replicas: 5, calm: true, script: func(w *world) {
			w.atLeader(func(*simReplica) {
				for i := range 2 {
					w.withoutNATS(&w.replicas[i].process, 2*time.Second, true, true)
					w.isolate(&w.replicas[3+i].process, 2*time.Second, raftNet)
				}
			})
		}},
	},
	"an entry that a minority took is lost with its leader": {
		plot: plot{replicas: 3, calm: true, script: func(w *world) {
			step := w.trainingStep()
			w.aim = func(p *process, a any) bool {
				if propose, ok := a.(Propose); ok && propose.Entry.GetStepCommit().GetFirst() >= step {
					w.aim = nil
					w.isolate(p, 2*time.Second, raftNet)
				}
				return false
			}
		}},
		demand: func(w *world) string {
			w.struck = min(w.holds.overwritten, 1)
			return ""
		},
	},
	"a rolling restart without memory": {
		plot: plot{replicas: 3, calm: true, script: func(w *world) {
			w.atLeader(func(*simReplica) { w.rollingRestart(300 * time.Millisecond) })
		}},
		demand: nothingRedoneTwice,
	},
	"all replicas lose power": {
		plot: plot{replicas: 3, calm: true, script: func(w *world) {
			w.atLeader(func(*simReplica) { w.powerLoss(300 * time.Millisecond) })
		}},
	},
	"all replicas lose power and their newest checkpoints": {
		plot: plot{replicas: 3, calm: true, script: func(w *world) {
			w.atLeader(func(*simReplica) {
				for _, r := range w.replicas {
					r.disk = map[int]*simFile{}
				}
				w.powerLoss(300 * time.Millisecond)
			})
		}},
	},
	"every disk is full for a while": {
		plot: plot{replicas: 3, calm: true, script: func(w *world) {
			for _, r := range w.replicas {
				r.diskFull = true
				w.after(5*time.Second, func() { r.diskFull = false; w.struck = 1 })
			}
		}},
	},
	"the last batch is smaller than the micro-batches": {
		plot: plot{workers: 3, microBatches: 16, script: func(w *world) {
			empty := 0
			for m := range 16 {
				if low, high := w.recipe.Sequence().Positions(3, m); low == high {
					empty++
				}
			}
			w.struck = min(empty, 1)
		}},
	},
	"workers come and go at every step": {
		plot: plot{replicas: 3, workers: 3, calm: true, script: func(w *world) {
			for at := 500 * time.Millisecond; at < simTrouble; at += w.between(20*time.Millisecond, 150*time.Millisecond) {
				k := w.workers[w.rng.IntN(3)]
				w.after(at, func() { w.struck = 1; k.leave(w.between(10*time.Millisecond, 300*time.Millisecond)) })
			}
		}},
	},
	"a user cancels while a gradient is published": {
		plot: plot{replicas: 3, chunk: 7, calm: true, script: func(w *world) {
			step := w.trainingStep()
			w.aim = func(_ *process, a any) bool {
				if c := gradientChunk(a); c != nil && c.Step == step {
					w.aim, w.struck = nil, 1
					w.cancelJob()
				}
				return false
			}
		}},
	},
	"a user pauses while a gradient is published, and resumes": {
		plot: plot{replicas: 3, chunk: 7, calm: true, script: func(w *world) {
			step := w.trainingStep()
			w.aim = func(_ *process, a any) bool {
				if c := gradientChunk(a); c != nil && c.Step == step {
					w.aim, w.struck = nil, 1
					w.pauseJob(w.between(time.Millisecond, time.Second))
				}
				return false
			}
		}},
	},
	"a worker joins with a state of another history": {
		plot: plot{replicas: 3, workers: 2, calm: true, script: otherHistory},
	},
	"replicas give gradients with a bit flipped": {
		plot: plot{replicas: 3, workers: 2, flips: true},
	},
}

// orphanGradient has a leader die when its gradient has reached the workers, and
// no replica has heard of it.
func orphanGradient(w *world) {
	step, out := w.trainingStep(), false
	w.aim = func(p *process, a any) bool {
		if out {
			w.aim, w.struck, p.back = nil, 1, 3*time.Second
			return true
		}
		if c := gradientChunk(a); c != nil && c.Step == step && c.Chunk == 0 {
			for _, r := range w.replicas {
				w.withoutNATS(&r.process, 300*time.Millisecond, true, false)
			}
		}
		s, ok := a.(Send)
		out = ok && s.Message.GetRow() != nil && s.Message.GetRow().Step == step
		return false
	}
}

// laggard has a replica that lags elected.
func laggard(w *world) {
	w.atLeader(func(*simReplica) {
		w.struck = 0
		w.leaveBehind(600 * time.Millisecond)
	})
}

// otherHistory has a worker come back with a state that other gradients led to.
func otherHistory(w *world) {
	k := w.workers[1]
	w.atLeader(func(*simReplica) {
		w.struck = 0
		k.foreign = true
		k.crash(20 * time.Millisecond)
	})
}

func nothingRedone(w *world) string {
	if w.holds.redone > 0 {
		return fmt.Sprintf("%d steps were done again, though a worker had their gradients", w.holds.redone)
	}
	return ""
}

func nothingRedoneTwice(w *world) string {
	if n := w.holds.redone; n > len(w.replicas) {
		return fmt.Sprintf("%d steps were done again by %d new leaders", n, len(w.replicas))
	}
	return ""
}

// trainingStep is one in the middle of the job.
func (w *world) trainingStep() uint64 {
	for {
		if t := 2 + w.rng.IntN(len(w.want)-6); !w.recipe.Sequence().At(t).Evaluation {
			return uint64(t)
		}
	}
}

// atLeader strikes at a step in the first half of the job.
func (w *world) atLeader(do func(*simReplica)) {
	step := 1 + w.rng.IntN(len(w.want)/2)
	var look func()
	look = func() {
		if l := w.leader(); l != nil && int(l.holds().Step) >= step && !w.over() {
			w.struck++
			do(l)
		} else {
			w.after(5*time.Millisecond, look)
		}
	}
	look()
}

// check runs a scenario from a seed.
func (s scenario) check(seed uint64, trace func(string, ...any)) (failure string, struck bool) {
	w := newWorld(seed, s.plot, trace)
	failure = w.run()
	if failure == "" && s.demand != nil {
		failure = s.demand(w)
	}
	return failure, w.struck > 0
}

// deadly are the processes whose deaths are tried at every action: the one that
// leads, one that follows, and a worker.
var deadly = map[string]func(w *world, p *process) bool{
	"leader": func(w *world, p *process) bool { l := w.leader(); return l != nil && p == &l.process },
	"follower": func(w *world, p *process) bool {
		l := w.leader()
		return l != nil && p == &w.replicas[int(l.id[1]-'0')%3].process
	},
	"worker": func(w *world, p *process) bool { return p == &w.workers[0].process },
}

// TestDeathAtEveryAction kills the leader, a follower or a worker before each of
// its actions from the job's first step to its first evaluation, in turn: between
// the chunks of a gradient, before its row, a receipt, a proposal, a checkpoint.
func TestDeathAtEveryAction(t *testing.T) {
	const seed, last = 3, 6
	for who, is := range deadly {
		t.Run(who, func(t *testing.T) {
			actions := 0
			for n := 1; ; n++ {
				count := 0
				w := newWorld(seed, plot{replicas: 3, workers: 2, microBatches: 8, chunk: 7, calm: true, script: func(w *world) {
					w.aim = func(p *process, _ any) bool {
						if most := w.mostAdvanced(); most == 0 || most > last || !is(w, p) {
							return false
						}
						count++
						if count == n {
							w.aim, w.struck, p.back = nil, 1, w.between(10*time.Millisecond, 1500*time.Millisecond)
						}
						return count == n
					}
				}}, silent)
				if failure := w.run(); failure != "" {
					t.Errorf("death at action %d: %s", n, failure)
				}
				if w.struck == 0 {
					break
				}
				actions = n
				if testing.Short() {
					n += 7
				}
			}
			if actions < last {
				t.Errorf("it has %d actions in %d steps", actions, last)
			}
		})
	}
}

// TestAimedFaults: what could go wrong at the worst moment changes nothing.
func TestAimedFaults(t *testing.T) {
	for name, s := range scenarios {
		t.Run(name, func(t *testing.T) {
			if *simSeed != 0 {
				if failure, _ := s.check(*simSeed, t.Logf); failure != "" {
					t.Fatal(failure)
				}
				return
			}
			struck, runs := 0, uint64(scenarioSeeds)
			if testing.Short() {
				runs /= 2
			}
			for seed := uint64(1); seed <= runs; seed++ {
				failure, came := s.check(seed, silent)
				if failure != "" {
					t.Errorf("seed %d: %s\nreplay it with: go test ./ps -run '%s' -v -sim.seed %d", seed, failure, t.Name(), seed)
				}
				if came {
					struck++
				}
			}
			if struck <= int(runs)/2 {
				t.Errorf("it came about in %d of %d runs", struck, runs)
			}
		})
	}
}
