package job

// Sequence is the list of a job's steps: every epoch is its training steps, the
// last of which may be smaller, and then one evaluation over the test examples.
// An evaluation is a step like any other (it has an index, partials and a row),
// but its gradient is empty and it changes no state.
type Sequence struct {
	Train, Test  int // examples
	Epochs       int
	Batch        int // examples of a training step
	MicroBatches int // M
}

// Step is one element of a Sequence.
type Step struct {
	Evaluation bool
	Epoch      int // from 0
	Index      int // within the epoch, from 0
	Examples   int
}

// PerEpoch is the number of steps of an epoch, its evaluation included.
func (s Sequence) PerEpoch() int { return s.TrainingPerEpoch() + 1 }

// TrainingPerEpoch is the number of training steps of an epoch.
func (s Sequence) TrainingPerEpoch() int { return (s.Train + s.Batch - 1) / s.Batch }

// Len is the number of steps of the job.
func (s Sequence) Len() int { return s.Epochs * s.PerEpoch() }

// TrainingBefore is how many of the steps before step t are training steps.
func (s Sequence) TrainingBefore(t int) int {
	return t/s.PerEpoch()*s.TrainingPerEpoch() + t%s.PerEpoch()
}

// At returns step t, for 0 ≤ t < Len.
func (s Sequence) At(t int) Step {
	step := Step{Epoch: t / s.PerEpoch(), Index: t % s.PerEpoch()}
	if step.Index == s.TrainingPerEpoch() {
		step.Evaluation = true
		step.Examples = s.Test
	} else {
		step.Examples = min(s.Batch, s.Train-step.Index*s.Batch)
	}
	return step
}

// Positions returns the positions [low, high) that micro-batch m of step t
// takes: positions in the epoch's order for a training step, indices of test
// examples for an evaluation. The micro-batch is absent where low == high.
func (s Sequence) Positions(t, m int) (low, high int) {
	step := s.At(t)
	base := 0
	if !step.Evaluation {
		base = step.Index * s.Batch
	}
	return base + m*step.Examples/s.MicroBatches, base + (m+1)*step.Examples/s.MicroBatches
}

// DigestDue reports whether the digest of state t belongs to the run's record:
// states 0 to 4, every 16th, and those before and after an evaluation (which
// are equal), the last state among them.
func (s Sequence) DigestDue(t int) bool {
	return t < 5 || t%16 == 0 || s.At(t).Evaluation || s.At(t-1).Evaluation
}

// CheckpointDue reports whether state t, for 0 ≤ t ≤ Len, is written to disk:
// the last state always; with every > 0 each state that every more training
// steps have led to; with every == 0 the state at each epoch's end. State 0
// never is: the recipe gives it.
func (s Sequence) CheckpointDue(every, t int) bool {
	switch {
	case t <= 0:
		return false
	case t >= s.Len():
		return true
	case every == 0:
		return t%s.PerEpoch() == 0
	}
	// An evaluation changes no state: only the one right after a training step counts.
	return !s.At(t-1).Evaluation && s.TrainingBefore(t)%every == 0
}
