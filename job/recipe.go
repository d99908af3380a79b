package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"convoy/digest"
)

// ArithmeticVersion covers everything that the bits of a model depend on beside
// the recipe: kernels, elementary functions, optimizer, random numbers,
// reduction and digests. It is raised whenever those bits change on purpose;
// processes with another version do not work on each other's jobs.
const ArithmeticVersion = 3

// Recipe is the arithmetic part of a resolved job file. Its hash names the
// training run: the same recipe gives the same bits wherever it is carried out.
// What is not in it (name, workers, checkpoints) cannot change the model.
type Recipe struct {
	Model             string    `json:"model"`
	Auxiliary         bool      `json:"auxiliary"`        // the model's auxiliary classifiers are trained too
	Layers            []Layer   `json:"layers,omitempty"` // where Model is Listed
	Data              Data      `json:"data"`
	Window            int       `json:"window"` // shards among which examples are mixed, 0: all
	Input             Input     `json:"input"`
	Augment           Augment   `json:"augment"`
	Epochs            int       `json:"epochs"`
	Batch             int       `json:"batch"`
	MicroBatches      int       `json:"micro_batches"`
	Seed              uint64    `json:"seed"`
	Algorithm         string    `json:"algorithm"` // of convolutions: "auto" or "direct"
	Loss              string    `json:"loss"`      // "auto" is the model's own
	Optimizer         Optimizer `json:"optimizer"`
	Schedule          Schedule  `json:"schedule"`
	Wire              string    `json:"wire"`                          // format of the gradients on the wire: "fp32" or "bf16"
	WireUnit          int       `json:"wire_unit,omitempty"`           // micro-batches of the smallest sum on a wire of bf16
	SimulateComputeMS int       `json:"simulate_compute_ms,omitempty"` // sleep so long for a part of a step, and compute nothing
	ArithmeticVersion int       `json:"arithmetic_version"`
}

// Data names a data set by its content.
type Data struct {
	Name     string `json:"name"`
	Manifest string `json:"manifest"` // digest of the manifest, 64 hex digits
	Train    int    `json:"train"`    // examples
	Test     int    `json:"test"`     // examples
	Classes  int    `json:"classes"`
	Channels int    `json:"channels"`
	Height   int    `json:"height"` // pixels
	Width    int    `json:"width"`  // pixels
}

// Optimizer is stochastic gradient descent as PyTorch's torch.optim.SGD does it.
type Optimizer struct {
	LR          float32 `json:"lr"`
	Momentum    float32 `json:"momentum"`
	Nesterov    bool    `json:"nesterov"`
	WeightDecay float32 `json:"weight_decay"`
	DecayBiases bool    `json:"decay_biases"` // false: only tensors of two dimensions or more decay
	ClipNorm    float32 `json:"clip_norm"`    // of the whole gradient, as torch.nn.utils.clip_grad_norm_; 0: none
}

// Canonical returns the JSON that Hash is taken of.
func (r Recipe) Canonical() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // only a NaN or an infinity could, and Check refuses them
	}
	return b
}

// Hash is R: it names the recipe.
func (r Recipe) Hash() digest.Sum { return digest.Of(r.Canonical()) }

// ParseRecipe reads what Canonical wrote, and nothing else, and checks it.
func ParseRecipe(canonical []byte) (Recipe, error) {
	var r Recipe
	if err := json.Unmarshal(canonical, &r); err != nil {
		return Recipe{}, fmt.Errorf("recipe: %w", err)
	}
	if err := r.Check(); err != nil {
		return Recipe{}, fmt.Errorf("recipe: %w", err)
	}
	if !bytes.Equal(r.Canonical(), canonical) {
		return Recipe{}, errors.New("recipe: not in canonical form: run the same release everywhere")
	}
	return r, nil
}

// Sequence returns the recipe's steps.
func (r Recipe) Sequence() Sequence {
	return Sequence{
		Train: r.Data.Train, Test: r.Data.Test,
		Epochs: r.Epochs, Batch: r.Batch, MicroBatches: r.MicroBatches,
	}
}

// The formats of gradients on the wire. Sums that go over a wire of bfloat16 are
// rounded whether or not they do: those of at least WireUnit micro-batches, and
// the gradient itself.
const (
	WireFloat32  = "fp32" // as they are
	WireBFloat16 = "bf16" // rounded to bfloat16, half as many bytes
)

// Unit is how many micro-batches the smallest sum on the wire has: workers' shares
// of a step are multiples of it.
func (r Recipe) Unit() int { return max(1, r.WireUnit) }

// Rounds reports whether sums are rounded for the wire.
func (r Recipe) Rounds() bool { return r.Wire == WireBFloat16 }

// MaxSimulate bounds a simulated computation.
const MaxSimulate = 10 * time.Second

// Simulated is how long a worker sleeps for its part of a step instead of
// computing it; 0: it computes.
func (r Recipe) Simulated() time.Duration {
	return time.Duration(r.SimulateComputeMS) * time.Millisecond
}

// The choices of an algorithm for convolutions. They round differently, so the
// choice is part of the recipe.
const (
	AlgorithmAuto   = "auto"   // by each convolution's shape
	AlgorithmDirect = "direct" // the definition's sums for all of them
)

// The choices of a loss. Those that do not go with the model are refused with it.
const (
	LossAuto            = "auto"             // the model's own
	LossCrossEntropy    = "cross-entropy"    // of the softmax of the outputs
	LossSquaredDistance = "squared-distance" // of the outputs, or of what an RBF layer measures, to the target
	LossRBF             = "rbf"              // of an RBF layer's penalties, the right one against all others
)

var losses = []string{LossAuto, LossCrossEntropy, LossSquaredDistance, LossRBF}

// Bounds of a recipe. A recipe comes over the wire: no value within them makes
// an int overflow or a reader allocate without measure.
const (
	maxPixels  = 1 << 26 // channels × height × width of one example
	maxClasses = 1 << 16
	maxSteps   = 1 << 40 // of the whole job
)

// Check reports the first thing that makes r no recipe this program can run.
func (r Recipe) Check() error {
	if r.ArithmeticVersion != ArithmeticVersion {
		return fmt.Errorf("arithmetic version %d, this program has %d: run the same release everywhere", r.ArithmeticVersion, ArithmeticVersion)
	}
	if err := checkWire(r.Wire, r.WireUnit, r.MicroBatches); err != nil {
		return err
	}
	if r.SimulateComputeMS < 0 || r.Simulated() > MaxSimulate {
		return fmt.Errorf("simulate_compute_ms %d: want 0, for none, to %d", r.SimulateComputeMS, MaxSimulate.Milliseconds())
	}
	if err := checkNetwork(r.Model, r.Layers); err != nil {
		return err
	}
	if err := checkLayers(r.Layers); err != nil {
		return err
	}
	if r.Epochs < 1 || r.Epochs > maxCount || r.Batch < 1 || r.Batch > maxCount {
		return fmt.Errorf("%d epochs in batches of %d: want 1 to %d of each", r.Epochs, r.Batch, maxCount)
	}
	if err := checkMicroBatches(r.MicroBatches); err != nil {
		return err
	}
	if err := checkAlgorithm(r.Algorithm); err != nil {
		return err
	}
	if err := checkLoss(r.Loss); err != nil {
		return err
	}
	if err := r.Data.check(); err != nil {
		return err
	}
	if err := r.checkImages(); err != nil {
		return err
	}
	if r.Window < 0 || r.Window > maxDataWindow {
		return fmt.Errorf("a window of %d shards: want 0, for all, to %d", r.Window, maxDataWindow)
	}
	if r.Sequence().TrainingPerEpoch() >= maxSteps/r.Epochs {
		return fmt.Errorf("%d epochs of %d examples in batches of %d are more than %d steps: raise the batch", r.Epochs, r.Data.Train, r.Batch, maxSteps)
	}
	if err := r.Optimizer.check(); err != nil {
		return err
	}
	return r.checkSchedule()
}

func (d Data) check() error {
	if d.Name == "" || len(d.Name) > 63 || !printable(d.Name) {
		return fmt.Errorf("data set %q is no data set's name", clip(d.Name))
	}
	if sum, err := digest.Parse(d.Manifest); err != nil || sum.String() != d.Manifest {
		return fmt.Errorf("manifest %q of data set %s: want 64 hex digits, lower case", clip(d.Manifest), d.Name)
	}
	if d.Train < 1 || d.Train > maxCount || d.Test < 1 || d.Test > maxCount {
		return fmt.Errorf("data set %s has %d training and %d test examples: want 1 to %d of each", d.Name, d.Train, d.Test, maxCount)
	}
	if d.Classes < 2 || d.Classes > maxClasses {
		return fmt.Errorf("data set %s has %d classes: want 2 to %d", d.Name, d.Classes, maxClasses)
	}
	if d.Channels < 1 || d.Height < 1 || d.Width < 1 ||
		d.Channels > maxPixels || d.Height > maxPixels/d.Channels || d.Width > maxPixels/d.Channels/d.Height {
		return fmt.Errorf("data set %s has examples of %d×%d×%d: want 1 to %d values", d.Name, d.Channels, d.Height, d.Width, maxPixels)
	}
	return nil
}

func (o Optimizer) check() error {
	for _, k := range keys {
		if strings.HasPrefix(k.path, "optimizer.") {
			if err := k.check(&File{Optimizer: o}); err != nil {
				return err
			}
		}
	}
	if o.Nesterov && o.Momentum == 0 {
		return errors.New("optimizer.nesterov needs a momentum")
	}
	return nil
}
