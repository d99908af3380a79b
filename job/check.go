package job

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds that keep every count of a job well inside an int32 and every product
// of two of them inside an int64.
const (
	maxCount        = 1<<31 - 1
	maxMicroBatches = 1024
	maxWorkers      = 1 << 16
	maxDataWindow   = 1 << 20 // shards
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// Check reports the first value of f that is out of range, or at odds with
// another, with its position and what to do. That the model and the data set
// exist is for the packages to say that hold them.
func (f File) Check() error {
	if err := f.checkKeysAt(); err != nil {
		return err
	}
	if key, err := checkSchedule(f.Schedule, f.Optimizer, f.Batch, f.Epochs); err != nil {
		return f.Errorf(key, "%w", err)
	}
	if key, err := checkInput(f.Input, f.Augment); err != nil {
		return f.Errorf(key, "%w", err)
	}
	if err := checkWire(f.Wire.Format, f.Wire.unit(), f.MicroBatches); err != nil {
		return f.Errorf("wire.unit", "%w", err)
	}
	switch o := f.Optimizer; {
	case o.Nesterov && o.Momentum == 0:
		return f.Errorf("optimizer.nesterov", "optimizer.nesterov needs a momentum: set optimizer.momentum, for example to 0.9, or leave nesterov out")
	case f.Workers.Max != 0 && f.Workers.Max < f.Workers.Min:
		return f.Errorf("workers.max", "workers.max %d is below workers.min %d: raise it, or leave it out for any number", f.Workers.Max, f.Workers.Min)
	}
	return nil
}

func (f File) checkKeysAt() error {
	for _, k := range keys {
		if err := k.check(&f); err != nil {
			return f.Errorf(k.path, "%w", err)
		}
	}
	return nil
}

// checkKeys checks the keys under a prefix, without positions.
func (f *File) checkKeys(prefix string) error {
	for _, k := range keys {
		if strings.HasPrefix(k.path, prefix) {
			if err := k.check(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkName lets a name pass that is only the model's: whether there is such a
// model decides about both.
func checkName(f *File) error {
	if f.Name == f.Model || namePattern.MatchString(f.Name) {
		return nil
	}
	return fmt.Errorf("name %q: use lower-case letters, digits, dots, dashes and underscores, at most 63, the first a letter or digit", clip(f.Name))
}

func checkModel(f *File) error {
	if f.Model == "" {
		return errors.New("no model is given: add a line such as model: lenet-relu")
	}
	return checkNetwork(f.Model, f.Layers)
}

// checkNetwork holds a model's name against the list of its layers, of which
// there are some where the model has no name but Listed.
func checkNetwork(model string, layers []Layer) error {
	switch {
	case model == "" || len(model) > 63 || !printable(model):
		return fmt.Errorf("model %q is no model's name: write one such as lenet-relu", clip(model))
	case model == Listed && len(layers) == 0:
		return fmt.Errorf("model %s stands for a network that the job file lists: list its layers in model.layers", model)
	case model != Listed && len(layers) > 0:
		return fmt.Errorf("model %s has a list of layers of its own: leave out model.layers", model)
	}
	return nil
}

func checkDataName(f *File) error {
	switch {
	case f.Data.Name == "":
		return errors.New("no data set is named: add a line such as data: digits, or data: {name: mnist, dir: PATH}")
	case len(f.Data.Name) > 63 || !printable(f.Data.Name):
		return fmt.Errorf("data.name %q is no data set's name: write one such as digits", clip(f.Data.Name))
	}
	return nil
}

func checkDataDir(f *File) error {
	if len(f.Data.Dir) > 4096 || !printable(f.Data.Dir) {
		return fmt.Errorf("data.dir %q is no folder's path", clip(f.Data.Dir))
	}
	return nil
}

func checkMicroBatches(m int) error {
	if m < 1 || m > maxMicroBatches || m&(m-1) != 0 {
		return fmt.Errorf("micro_batches %d: want a power of two from 1 to %d", m, maxMicroBatches)
	}
	return nil
}

func checkWireFormat(format string) error {
	if format != WireFloat32 && format != WireBFloat16 {
		return fmt.Errorf("wire format %q: want %s, or %s for half the bytes", clip(format), WireFloat32, WireBFloat16)
	}
	return nil
}

// checkWire checks a recipe's wire: bfloat16 has a unit, float32 has none.
func checkWire(format string, unit, m int) error {
	if err := checkWireFormat(format); err != nil {
		return err
	}
	switch {
	case format == WireFloat32 && unit != 0:
		return fmt.Errorf("wire.unit %d goes with wire format %s alone: leave it out", unit, WireBFloat16)
	case format == WireBFloat16 && (unit < 1 || unit > m || unit&(unit-1) != 0):
		return fmt.Errorf("wire.unit %d: want a power of two up to the %d micro-batches of a step", unit, m)
	}
	return nil
}

// unit is a recipe's: bfloat16 has one, and float32 what was written.
func (w Wire) unit() int {
	if w.Format == WireBFloat16 {
		return max(w.Unit, 1)
	}
	return w.Unit
}

func checkAlgorithm(a string) error {
	if a != AlgorithmAuto && a != AlgorithmDirect {
		return fmt.Errorf("algorithm %q: want %s, the fastest for each convolution's shape, or %s", clip(a), AlgorithmAuto, AlgorithmDirect)
	}
	return nil
}

func checkLoss(l string) error {
	if !slices.Contains(losses, l) {
		return fmt.Errorf("loss %q: want %s, which is the model's own, or one of %s", clip(l), LossAuto, strings.Join(losses[1:], ", "))
	}
	return nil
}

// printable reports whether s is UTF-8 without control characters.
func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return false
		}
	}
	return true
}
