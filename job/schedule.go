package job

import (
	"fmt"
	"math"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"convoy/fmath"
)

// The schedules.
const (
	ScheduleConstant = "constant"
	ScheduleStep     = "step"
	ScheduleCosine   = "cosine"
)

const (
	defaultGamma  = 0.1 // as PyTorch's
	maxMilestones = 1024
)

// Schedule says how the learning rate changes in the course of a job. Recipe's
// LearningRate has the formulas.
type Schedule struct {
	Type         string  `json:"type"`                 // constant, step or cosine
	Milestones   []int   `json:"milestones,omitempty"` // step: the epochs, counted from 0, from which on it is lower
	Every        int     `json:"every"`                // step: epochs between two drops, in place of milestones
	Gamma        float32 `json:"gamma"`                // step: the factor of a drop
	FinalLR      float32 `json:"final_lr"`             // cosine: where it ends
	WarmupEpochs int     `json:"warmup_epochs"`
	WarmupSteps  int     `json:"warmup_steps"` // training steps, in place of epochs
	ScaleBatch   int     `json:"scale_batch"`  // the batch that optimizer.lr is for; 0: that of the job
}

// LearningRate is the learning rate of step t, computed in float64 and rounded
// to float32 once; an evaluation has that of the training step before it. With B
// the batch and lr = optimizer.lr, the rate to begin with is
//
//	peak = lr                          or, with scale_batch, lr·B/scale_batch
//
// which is the linear scaling rule of Goyal et al., "Accurate, Large Minibatch
// SGD", 2017, section 2.1. With e the epoch, n the training step, both from 0, N
// their number and W the training steps of the warm-up, it goes on as
//
//	constant   peak
//	step       peak·gamma^k, k the number of milestones ≤ e, or ⌊e/every⌋
//	cosine     final_lr + (peak − final_lr)·(1 + cos(π·(n−W)/(N−W)))/2
//
// and in the warm-up (section 2.2 there), where cosine is still at its peak,
// (n+1)/(W+1) of that. In PyTorch these are MultiStepLR and StepLR, stepped once
// an epoch, and CosineAnnealingLR with T_max = N−W and eta_min = final_lr, stepped
// once a training step (Loshchilov and Hutter, "SGDR", 2017, equation 5); the
// warm-up is LinearLR with start_factor = 1/(W+1) and total_iters = W.
func (r Recipe) LearningRate(t int) float32 {
	s, seq := r.Schedule, r.Sequence()
	n, warm := seq.TrainingBefore(t), r.warmup()
	if seq.At(t).Evaluation {
		n--
	}
	lr := s.peak(r.Optimizer.LR, r.Batch)
	switch {
	case s.Type == ScheduleStep:
		lr *= power(float64(s.Gamma), s.drops(seq.At(t).Epoch))
	case s.Type == ScheduleCosine && n >= warm:
		final := float64(s.FinalLR)
		angle := math.Pi * float64(n-warm) / float64(r.trainingSteps()-warm)
		lr = final + float64((lr-final)*float64((1+fmath.Cos(angle))/2))
	}
	if n < warm {
		lr = float64(lr*float64(n+1)) / float64(warm+1)
	}
	return float32(lr)
}

func (r Recipe) trainingSteps() int { return r.Epochs * r.Sequence().TrainingPerEpoch() }

// warmup is the number of training steps of the warm-up.
func (r Recipe) warmup() int {
	return r.Schedule.WarmupSteps + r.Schedule.WarmupEpochs*r.Sequence().TrainingPerEpoch()
}

func (s Schedule) peak(lr float32, batch int) float64 {
	if s.ScaleBatch == 0 {
		return float64(lr)
	}
	return float64(float64(lr)*float64(batch)) / float64(s.ScaleBatch)
}

// drops is how many drops there have been by an epoch.
func (s Schedule) drops(epoch int) (k int) {
	if s.Every > 0 {
		return epoch / s.Every
	}
	for _, m := range s.Milestones {
		if m <= epoch {
			k++
		}
	}
	return k
}

// power is x to the k, by repeated squaring from the lowest bit of k on.
func power(x float64, k int) float64 {
	y := 1.0
	for ; k > 0; k >>= 1 {
		if k&1 == 1 {
			y *= x
		}
		x *= x
	}
	return y
}

// write leaves out what the type of the schedule does not have.
func (s Schedule) write(line func(format string, args ...any)) {
	line("schedule:\n  type: %s", quoted(s.Type))
	switch {
	case s.Type == ScheduleStep && s.Every > 0:
		line("  every: %d\n  gamma: %s", s.Every, short(s.Gamma))
	case s.Type == ScheduleStep:
		line("  milestones: [%s]\n  gamma: %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(s.Milestones), " ", ", "), "[]"), short(s.Gamma))
	case s.Type == ScheduleCosine:
		line("  final_lr: %s", short(s.FinalLR))
	}
	line("  warmup_epochs: %d\n  warmup_steps: %d\n  scale_batch: %d", s.WarmupEpochs, s.WarmupSteps, s.ScaleBatch)
}

// checkSchedule checks what a schedule's keys ask of each other and of the job,
// and names the key that is wrong. The length of a warm-up in steps is for the
// recipe to check, which knows the number of examples.
func checkSchedule(s Schedule, o Optimizer, batch, epochs int) (key string, err error) {
	drops := len(s.Milestones) > 0
	switch step := s.Type == ScheduleStep; {
	case step && drops == (s.Every > 0):
		return "schedule.type", fmt.Errorf("schedule.type step: give either schedule.milestones, such as [30, 60], or schedule.every")
	case !step && drops:
		return "schedule.milestones", fmt.Errorf("schedule.milestones are for type step, not %s: change the type or leave them out", s.Type)
	case !step && s.Every > 0:
		return "schedule.every", fmt.Errorf("schedule.every is for type step, not %s: change the type or leave it out", s.Type)
	case !step && s.Gamma != defaultGamma:
		return "schedule.gamma", fmt.Errorf("schedule.gamma is for type step, not %s: change the type or leave it out", s.Type)
	case s.Type != ScheduleCosine && s.FinalLR != 0:
		return "schedule.final_lr", fmt.Errorf("schedule.final_lr is for type cosine, not %s: change the type or leave it out", s.Type)
	case s.WarmupEpochs > 0 && s.WarmupSteps > 0:
		return "schedule.warmup_steps", fmt.Errorf("schedule has warmup_epochs and warmup_steps: leave one of them out")
	case s.WarmupEpochs >= epochs:
		return "schedule.warmup_epochs", fmt.Errorf("schedule.warmup_epochs %d of %d epochs: leave at least one epoch after the warm-up", s.WarmupEpochs, epochs)
	}
	if peak := float32(s.peak(o.LR, batch)); peak == 0 || !finite(peak) {
		return "schedule.scale_batch", fmt.Errorf("schedule.scale_batch %d makes a learning rate of %g out of %g for a batch of %d: choose it near the batch", s.ScaleBatch, peak, o.LR, batch)
	}
	return "", nil
}

// checkSchedule is the part that a recipe alone can check.
func (r Recipe) checkSchedule() error {
	if err := (&File{Schedule: r.Schedule}).checkKeys("schedule."); err != nil {
		return err
	}
	if _, err := checkSchedule(r.Schedule, r.Optimizer, r.Batch, r.Epochs); err != nil {
		return err
	}
	if r.Schedule.WarmupSteps >= r.trainingSteps() {
		return fmt.Errorf("schedule.warmup_steps %d of %d training steps: leave at least one after the warm-up", r.Schedule.WarmupSteps, r.trainingSteps())
	}
	return nil
}

func checkScheduleType(f *File) error {
	switch t := f.Schedule.Type; t {
	case ScheduleConstant, ScheduleStep, ScheduleCosine:
		return nil
	default:
		return fmt.Errorf("schedule.type %q: want %s, %s or %s", clip(t), ScheduleConstant, ScheduleStep, ScheduleCosine)
	}
}

func setMilestones(f *File, n ast.Node) error {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		return fmt.Errorf("%s: want a list of epochs, such as [30, 60]", describe("schedule.milestones", n))
	}
	if len(list.Values) > maxMilestones {
		return fmt.Errorf("schedule.milestones has %d epochs: at most %d", len(list.Values), maxMilestones)
	}
	f.Schedule.Milestones = make([]int, len(list.Values))
	for i, v := range list.Values {
		set := setWhole(fmt.Sprintf("schedule.milestones[%d]", i), func(f *File) *int { return &f.Schedule.Milestones[i] })
		if err := set(f, v); err != nil {
			return err
		}
	}
	return nil
}

func checkMilestones(f *File) error {
	list := f.Schedule.Milestones
	if list != nil && len(list) == 0 || len(list) > maxMilestones {
		return fmt.Errorf("schedule.milestones has %d epochs: want 1 to %d, or leave it out", len(list), maxMilestones)
	}
	for i, m := range list {
		if m < 1 || m > maxCount || i > 0 && m <= list[i-1] {
			return fmt.Errorf("schedule.milestones %d: want epochs from 1 on, each later than the one before", list)
		}
	}
	return nil
}
