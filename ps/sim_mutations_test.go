package ps

import (
	"slices"
	"strings"
	"testing"

	"convoy/api"
	"convoy/optim"
	"convoy/state"
	"convoy/worker"
)

// mutationSeeds is within how many runs a rule that is off must be missed.
const mutationSeeds = 40

// mutation is a rule that is switched off, in a scenario of those above or, where
// it has no name, in random trouble.
type mutation struct {
	scenario string
	change   func(*plot)
	want     string // how what is found begins, its time left out
}

var mutations = map[string]mutation{
	"no receipt rule": {
		"leader publishes while no replica hears it, and dies",
		func(p *plot) { p.rules.noReceipt = true }, "I6: ",
	},
	"no adoption of the most advanced replica": {
		"a replica that lags wins the election",
		func(p *plot) { p.rules.noAdoption = true }, "I6: ",
	},
	"replicas apply chunk by chunk": {
		"leader and worker die between the chunks of a gradient",
		func(p *plot) { p.noClip, p.rules.chunk = true, applyChunk }, "I2: ",
	},
	"a receipt before the whole gradient is there": {
		"leader and worker die between the chunks of a gradient",
		func(p *plot) {
			p.rules.chunk = func(m *Machine, c *api.Gradient, _ []float32) { m.acknowledgeReceived(int(c.Step) + 1) }
		}, "I3: ",
	},
	"partials accepted whatever their chain": {
		"a worker joins with a state of another history",
		func(p *plot) { p.rules.anyChain = true }, "I2: ",
	},
	"a partial counted twice": {
		"", func(p *plot) { p.rules.countTwice = true }, "I2: ",
	},
	"a payload looked up by its step": {
		"replicas give gradients with a bit flipped",
		func(p *plot) { p.rules.fetched = believe }, "I2: ",
	},
	"results dropped when they are sent": {
		"leader dies and is back with nothing before the election",
		func(p *plot) { p.workerRules = worker.Rules{DropResults: true} }, "I6: nothing has moved",
	},
	"gradients dropped when they are applied": {
		"leader dies with a gradient that workers alone hold",
		func(p *plot) { p.rules.dropGradient, p.workerRules = true, worker.Rules{DropGradient: true} }, "1 steps were done again",
	},
	"proposals without a majority": {
		"leader publishes while no replica hears it, and dies",
		func(p *plot) { p.rules.noMajority = true }, "I3: ",
	},
	"checkpoints before their step is committed": {
		"all replicas lose power",
		func(p *plot) { p.rules.eagerSaves = true }, "I4: ",
	},
	"no terms": {
		"leader dies and is back with nothing before the election",
		func(p *plot) { p.rules.noTerms = true }, "I6: nothing has moved",
	},
	"a job that is to be paused goes on": {
		"", func(p *plot) { p.rules.noRest = true }, "pause: ",
	},
	"rows not kept": {
		"leader dies with a gradient that workers alone hold",
		func(p *plot) { p.rules.dropRows = true }, "I6: nothing has moved",
	},
	"empty micro-batches as zeros": {
		"the last batch is smaller than the micro-batches",
		func(p *plot) { p.rules.zeros = true }, "I2: ",
	},
}

// applyChunk moves the part of the state that a chunk covers, at once.
func applyChunk(m *Machine, c *api.Gradient, data []float32) {
	k := m.keeper
	if int(c.Step) != k.Step() {
		return
	}
	low, high := state.Chunk(k.GradientLen(k.Step()), int(c.Chunks), int(c.Chunk))
	part := &optim.State{Layout: k.State().Layout, Params: k.State().Params[low:high]}
	for _, v := range k.State().Slots {
		part.Slots = append(part.Slots, v[low:high])
	}
	optim.NewUpdater(nil).Apply(part, m.job.SGD, data, m.job.Recipe.LearningRate(k.Step()), 1, false)
}

// believe takes what was fetched for the gradient of its step, whatever its digest.
func believe(m *Machine, g *state.Gradient) *state.Gradient {
	if g.Step() != m.keeper.Step() || len(g.Data) == 0 {
		return g
	}
	row := m.keeper.NewRow(slices.Clone(g.Data), state.Sums{
		Loss: g.Row.LossSum, Correct: int(g.Row.Correct), Top5: int(g.Row.Top5), Examples: int(g.Row.Examples),
	})
	row.Chunks, row.Workers, row.Shares = g.Row.Chunks, g.Row.Workers, g.Row.Shares
	return &state.Gradient{Row: row, Data: g.Data}
}

// TestMutations: with any of the rules off, the simulation finds what that does.
// So each rule is needed, and the simulation strong enough to tell.
func TestMutations(t *testing.T) {
	if *simSeed != 0 {
		t.Skip("a seed is replayed")
	}
	for name, m := range mutations {
		t.Run(name, func(t *testing.T) {
			s, known := scenarios[m.scenario]
			if !known && m.scenario != "" {
				t.Fatalf("there is no scenario %q", m.scenario)
			}
			m.change(&s.plot)
			others := map[string]bool{}
			for seed := uint64(1); seed <= mutationSeeds; seed++ {
				failure, _ := s.check(seed, silent)
				_, found, timed := strings.Cut(failure, "s: ")
				if !timed {
					found = failure
				}
				if strings.HasPrefix(found, m.want) {
					t.Logf("seed %d: %s", seed, failure)
					return
				}
				if failure != "" {
					others[failure] = true
				}
			}
			t.Errorf("nothing of the kind %q is found in %d runs, but %v", m.want, mutationSeeds, others)
		})
	}
}
