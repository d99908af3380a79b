package job

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func drawSchedule(t *rapid.T, epochs, batch int) Schedule {
	s := Default().Schedule
	switch s.Type = rapid.SampledFrom([]string{ScheduleConstant, ScheduleStep, ScheduleCosine}).Draw(t, "type"); s.Type {
	case ScheduleStep:
		s.Gamma = rapid.Float32Range(1e-3, 1).Draw(t, "gamma")
		if rapid.Bool().Draw(t, "milestones") {
			s.Milestones = []int{1, rapid.IntRange(2, maxCount).Draw(t, "milestone")}
		} else {
			s.Every = rapid.IntRange(1, maxCount).Draw(t, "every")
		}
	case ScheduleCosine:
		s.FinalLR = rapid.Float32Range(0, 1).Draw(t, "final")
	}
	if rapid.Bool().Draw(t, "warm-up by epochs") {
		s.WarmupEpochs = rapid.IntRange(0, epochs-1).Draw(t, "warm-up")
	} else {
		s.WarmupSteps = rapid.IntRange(0, maxCount).Draw(t, "warm-up")
	}
	if rapid.Bool().Draw(t, "scaled") {
		s.ScaleBatch = batch
	}
	return s
}

// scheduled is a recipe of so many epochs of 4 training steps of 10 examples.
func scheduled(epochs int, o Optimizer, s Schedule) Recipe {
	r := sound()
	r.Data.Train, r.Batch, r.Epochs, r.Optimizer, r.Schedule = 40, 10, epochs, o, s
	return r
}

// TestLearningRate compares the rates of all training steps with what PyTorch's
// schedulers are documented to give.
func TestLearningRate(t *testing.T) {
	base := Optimizer{LR: 0.5}
	warm := func(n, w int) float64 { return math.Min(1, float64(n+1)/float64(w+1)) }
	for name, c := range map[string]struct {
		s    Schedule
		want func(n int) float64 // of training step n
	}{
		"constant":   {Schedule{Type: ScheduleConstant}, func(int) float64 { return 0.5 }},
		"scaled":     {Schedule{Type: ScheduleConstant, ScaleBatch: 4}, func(int) float64 { return 1.25 }},
		"milestones": {Schedule{Type: ScheduleStep, Milestones: []int{1, 4}, Gamma: 0.25}, func(n int) float64 { return []float64{0.5, 0.125, 0.125, 0.125, 0.03125, 0.03125}[n/4] }},
		"every":      {Schedule{Type: ScheduleStep, Every: 2, Gamma: 0.1}, func(n int) float64 { return 0.5 * math.Pow(0.1, float64(n/8)) }},
		"cosine":     {Schedule{Type: ScheduleCosine, FinalLR: 0.25}, func(n int) float64 { return 0.25 + 0.25*(1+math.Cos(math.Pi*float64(n)/24))/2 }},
		"warm-up":    {Schedule{Type: ScheduleConstant, WarmupSteps: 5}, func(n int) float64 { return 0.5 * warm(n, 5) }},
		"warm cosine": {Schedule{Type: ScheduleCosine, WarmupEpochs: 2, ScaleBatch: 5}, func(n int) float64 {
			return warm(n, 8) * (1 + math.Cos(math.Pi*math.Max(0, float64(n-8))/16)) / 2
		}},
		"warm step": {Schedule{Type: ScheduleStep, Every: 1, Gamma: 0.5, WarmupEpochs: 2}, func(n int) float64 {
			return 0.5 * warm(n, 8) * math.Pow(0.5, float64(n/4))
		}},
	} {
		r := scheduled(6, base, c.s)
		n, last := 0, float32(0)
		for step := range r.Sequence().Len() {
			got := r.LearningRate(step)
			if r.Sequence().At(step).Evaluation {
				if got != last {
					t.Errorf("%s: an evaluation at rate %g behind a step at %g", name, got, last)
				}
				continue
			}
			if want := c.want(n); math.Abs(float64(got)-want) > 1e-7*want {
				t.Errorf("%s: step %d has %g, want %g", name, n, got, want)
			}
			n, last = n+1, got
		}
	}
}

// A constant rate is that of the file to the bit, whatever the batch.
func TestConstantRateIsTheFiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lr := rapid.Float32Range(1e-45, 3e38).Draw(t, "lr")
		r := scheduled(2, Optimizer{LR: lr}, Default().Schedule)
		if got := r.LearningRate(rapid.IntRange(0, 9).Draw(t, "step")); got != lr {
			t.Errorf("%g, want %g", got, lr)
		}
	})
}

// TestLearningRateBits pins the rates' bits: the same on every machine.
func TestLearningRateBits(t *testing.T) {
	s := Schedule{Type: ScheduleCosine, FinalLR: 1e-4, WarmupSteps: 7, ScaleBatch: 256}
	var h uint64 = 14695981039346656037 // FNV-1a
	r := scheduled(50, Optimizer{LR: 0.1}, s)
	for step := range r.Sequence().Len() {
		h = (h ^ uint64(math.Float32bits(r.LearningRate(step)))) * 1099511628211
	}
	if want := uint64(0x4939119df330f807); h != want {
		t.Errorf("bits %#x, want %#x", h, want)
	}
}
