package state

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"convoy/api"
	"convoy/digest"
	"convoy/job"
	"convoy/optim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testFloats is the length of the test's parameter vector.
const testFloats = 11

// testJob has 4 training steps and an evaluation an epoch, two epochs.
func testJob() *Job {
	return NewJob("job-1", job.Recipe{
		Model: "toy",
		Data: job.Data{
			Name: "toy", Manifest: strings.Repeat("ab", 32), Train: 37, Test: 5,
			Classes: 2, Channels: 1, Height: 1, Width: 1,
		},
		Epochs: 2, Batch: 10, MicroBatches: 4, Seed: 1, Algorithm: job.AlgorithmAuto, Loss: job.LossAuto,
		Optimizer: job.Optimizer{LR: 0.5, Momentum: 0.5, ClipNorm: 2}, Schedule: job.Schedule{Type: job.ScheduleStep, Every: 1, Gamma: 0.5}, Wire: job.WireFloat32, ArithmeticVersion: job.ArithmeticVersion,
	})
}

// keeperAt returns a keeper that has made the first steps itself.
func keeperAt(t testing.TB, steps int) *Keeper {
	t.Helper()
	j := testJob()
	params := make([]float32, testFloats)
	for i := range params {
		params[i] = float32(i)
	}
	s := optim.NewState([]optim.Tensor{{Name: "w", Dims: []int{testFloats}}}, params, j.SGD)
	k := NewKeeper(j, s, 0, digest.Chain0(j.Hash, s.Digest()))
	for range steps {
		k.Apply(nextGradient(k))
	}
	return k
}

// nextGradient is the gradient of the keeper's step, in three chunks.
func nextGradient(k *Keeper) *Gradient {
	data := make([]float32, k.GradientLen(k.Step()))
	for i := range data {
		data[i] = float32(i+1) / float32(k.Step()+1)
	}
	g := &Gradient{Row: k.NewRow(data, Sums{Loss: 1.5, Correct: 2, Top5: 3, Examples: k.Job().Sequence.At(k.Step()).Examples}), Data: data}
	if len(data) > 0 {
		g.Row.Chunks = testChunks
	}
	return g
}

const testChunks = 3

// chunk is chunk i of a gradient as it comes off the stream.
func chunk(g *Gradient, i int) (*api.Gradient, []float32) {
	low, high := Chunk(len(g.Data), testChunks, i)
	return &api.Gradient{RecipeHash: g.Row.RecipeHash, Step: g.Row.Step, Chunk: uint32(i), Chunks: testChunks}, g.Data[low:high]
}

// feed gives a keeper a whole gradient off the stream.
func feed(t testing.TB, k *Keeper, g *Gradient) {
	t.Helper()
	for i := range testChunks {
		if len(g.Data) == 0 {
			break
		}
		c, data := chunk(g, i)
		if _, err := k.AddChunk(c, data); err != nil {
			t.Fatal(err)
		}
	}
	k.AddRow(g.Row)
}
