package job

import (
	"encoding/json"
	"fmt"

	"convoy/digest"
)

// ArithmeticVersion covers everything that the bits of a model depend on beside
// the recipe: kernels, elementary functions, optimizer, random numbers,
// reduction and digests. It is raised whenever those bits change on purpose;
// processes with another version do not work on each other's jobs.
const ArithmeticVersion = 1

// Recipe is the arithmetic part of a resolved job file. Its hash names the
// training run: the same recipe gives the same bits wherever it is carried out.
// What is not in it (name, workers, checkpoints) cannot change the model.
type Recipe struct {
	Model             string    `json:"model"`
	Data              Data      `json:"data"`
	Epochs            int       `json:"epochs"`
	Batch             int       `json:"batch"`
	MicroBatches      int       `json:"micro_batches"`
	Seed              uint64    `json:"seed"`
	Optimizer         Optimizer `json:"optimizer"`
	Wire              string    `json:"wire"` // format of the gradients on the wire: "fp32"
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

// ParseRecipe reads what Canonical wrote and checks it.
func ParseRecipe(canonical []byte) (Recipe, error) {
	var r Recipe
	if err := json.Unmarshal(canonical, &r); err != nil {
		return Recipe{}, fmt.Errorf("recipe: %w", err)
	}
	if err := r.Check(); err != nil {
		return Recipe{}, fmt.Errorf("recipe: %w", err)
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

// Check reports the first thing that makes r no recipe this program can run.
func (r Recipe) Check() error {
	switch {
	case r.ArithmeticVersion != ArithmeticVersion:
		return fmt.Errorf("arithmetic version %d, this program has %d: run the same release everywhere", r.ArithmeticVersion, ArithmeticVersion)
	case r.Epochs < 1 || r.Batch < 1 || r.Data.Train < 1:
		return fmt.Errorf("%d epochs of %d examples in batches of %d: each must be at least 1", r.Epochs, r.Data.Train, r.Batch)
	case r.MicroBatches < 1 || r.MicroBatches&(r.MicroBatches-1) != 0:
		return fmt.Errorf("%d micro-batches: want a power of two", r.MicroBatches)
	}
	return nil
}
