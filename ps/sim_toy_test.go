package ps

import (
	"math"
	"strings"
	"sync"

	"convoy/digest"
	"convoy/job"
	"convoy/optim"
	"convoy/state"
	"convoy/tree"
)

// simInitial is state 0: a tiny vector.
func simInitial(j *state.Job) *optim.State {
	params := make([]float32, simFloats)
	for i := range params {
		params[i] = float32(i) / simFloats
	}
	return optim.NewState([]optim.Tensor{{Name: "0.weight", Dims: []int{simFloats}}}, params, j.SGD)
}

const simFloats = 40

// simPartial is a toy network: a pure function of the state, the step and the
// micro-batch, which float32 rounds, so that the order of additions shows.
func simPartial(j *state.Job, t int, n tree.Node, params []float32) (data []float32, sums state.Sums) {
	sums.Examples = state.Examples(j.Sequence, t, n.Low, n.High)
	for m := n.Low; m < n.High; m++ {
		examples := state.Examples(j.Sequence, t, m, m+1)
		sums.Loss += float64(examples*(t+m)) / 8
		sums.Correct += examples / 2
		sums.Top5 += examples/2 + m%2*(examples-examples/2)
	}
	if j.Sequence.At(t).Evaluation {
		return nil, sums
	}
	data = make([]float32, len(params))
	scratch := make([][]float32, 10)
	for i := range scratch {
		scratch[i] = make([]float32, len(params))
	}
	tree.Sum(n, data, scratch, func(m int, dst []float32) bool {
		examples := state.Examples(j.Sequence, t, m, m+1)
		for i, x := range params {
			dst[i] = float32(examples) * (float32(x*0.3) + 1/float32(1+i+7*m+3*t))
			if i%8 == 7 { // a unit that is off: −0 + 0 would be another zero
				dst[i] = float32(math.Copysign(0, -1))
			}
		}
		return examples > 0
	})
	return data, sums
}

// truth is state t as one process without faults computes it.
type truth struct {
	chain  digest.Sum
	digest digest.Sum
}

// truths are computed once for all worlds.
var truths sync.Map

func simTruth(r job.Recipe) []truth {
	all, known := truths.Load(r.Hash())
	if !known {
		all, _ = truths.LoadOrStore(r.Hash(), computeTruth(r))
	}
	return all.([]truth)
}

// computeTruth computes all states in one process.
func computeTruth(r job.Recipe) []truth {
	j := state.NewJob(simJob, r)
	s := simInitial(j)
	k := state.NewKeeper(j, s, 0, digest.Chain0(j.Hash, s.Digest()))
	all := []truth{{k.Chain(), k.State().Digest()}}
	for t := range j.Sequence.Len() {
		data, sums := simPartial(j, t, tree.Node{Low: 0, High: r.MicroBatches}, k.State().Params)
		for i := range data {
			data[i] /= float32(sums.Examples)
		}
		k.Apply(&state.Gradient{Row: k.NewRow(data, sums), Data: data})
		all = append(all, truth{k.Chain(), k.State().Digest()})
	}
	return all
}

func simRecipe(microBatches int) job.Recipe {
	f := job.Default()
	f.Model, f.Epochs, f.Batch, f.MicroBatches = "toy", 4, 10, microBatches
	f.Optimizer = job.Optimizer{LR: 0.1, Momentum: 0.9, WeightDecay: 0.01, ClipNorm: 0.5}
	f.Schedule.Type, f.Schedule.WarmupSteps = job.ScheduleCosine, 3
	return f.Recipe(job.Data{
		Name: "toy", Manifest: strings.Repeat("ab", 32), Train: 37, Test: 5,
		Classes: 2, Channels: 1, Height: 1, Width: 1,
	})
}
