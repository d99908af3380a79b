package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"convoy/checkpoint"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
	"convoy/models"
)

// The files of an export; train_job.py reads them.
const (
	planFile    = "plan.json"
	initialFile = "initial.safetensors"
	orderFile   = "order.i32" // the example at each position, epoch by epoch, little-endian
	testFile    = "test.u8"   // the pixels of all test examples, as Convoy decodes them
)

// plan is what train_job.py does with the parameters and the order.
type plan struct {
	Recipe    job.Recipe `json:"recipe"`
	Classes   []string   `json:"classes"`
	Mean      []float64  `json:"mean"` // of each channel, in units of pixel value ÷ 255
	Deviation []float64  `json:"deviation"`
	LR        []float32  `json:"lr"` // of each training step
}

// repeatable says what of a recipe PyTorch cannot repeat from what is exported.
func repeatable(r job.Recipe) error {
	if len(r.Layers) == 0 {
		return errors.New("list the network's layers (model.layers): PyTorch's is built from the list")
	}
	for i, l := range r.Layers {
		if l.Type == "dropout" && l.Rate > 0 {
			return fmt.Errorf("layer %d drops values out at random: set its rate to 0", i)
		}
	}
	switch in := r.Input; {
	case r.Augment != job.Augment{}:
		return errors.New("leave out augment: its random numbers are Convoy's own")
	case in.Height != 0 || in.Width != 0 || in.Pad != 0:
		return errors.New("leave out input.resize and input.pad: photographs are compared at their own size")
	case in.Normalize != job.NormalizeSet && in.Normalize != job.NormalizeUnit:
		return fmt.Errorf("set input.normalize to %s or %s, not %s", job.NormalizeSet, job.NormalizeUnit, in.Normalize)
	case r.Loss != job.LossAuto && r.Loss != job.LossCrossEntropy:
		return fmt.Errorf("leave out loss %s: the cross-entropy is compared", r.Loss)
	}
	return nil
}

// planOf derives the plan of a recipe from the manifest of its data.
func planOf(r job.Recipe, m data.Manifest) plan {
	p := plan{Recipe: r, Classes: m.ClassNames}
	p.Mean, p.Deviation = m.Moments()
	if r.Input.Normalize == job.NormalizeUnit {
		for c := range p.Mean {
			p.Mean[c], p.Deviation[c] = 0, 1
		}
	}
	for seq, t := r.Sequence(), 0; t < seq.Len(); t++ {
		if !seq.At(t).Evaluation {
			p.LR = append(p.LR, r.LearningRate(t))
		}
	}
	return p
}

// orderOf is which example stands at each position of all epochs.
func orderOf(r job.Recipe, m data.Manifest) []int32 {
	var list []int32
	for epoch := range r.Epochs {
		o := data.NewOrder(m, r.Window, r.Seed, epoch)
		for p := range m.Train {
			list = append(list, int32(o.At(p)))
		}
	}
	return list
}

// export writes the files of an export into dir.
func export(dir string, r job.Recipe, set *data.Set) error {
	m := set.Manifest
	if got := m.Digest().String(); got != r.Data.Manifest {
		return fmt.Errorf("the photographs have changed: manifest %s, the recipe has %s", got, r.Data.Manifest)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	state, err := models.Initial(r)
	if err != nil {
		return err
	}
	sum := state.Digest()
	about := checkpoint.Meta{Recipe: r, Chain: digest.Chain0(r.Hash(), sum), Digest: sum}
	if _, err := checkpoint.Write(filepath.Join(dir, initialFile), state, about); err != nil {
		return err
	}
	order, err := binary.Append(nil, binary.LittleEndian, orderOf(r, m))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, orderFile), order, 0o644); err != nil {
		return err
	}
	size := m.ImageBytes()
	pixels := make([]byte, m.Test*size)
	for i := range m.Test {
		set.Test.Example(i, pixels[i*size:(i+1)*size])
	}
	if err := os.WriteFile(filepath.Join(dir, testFile), pixels, 0o644); err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, planFile), planOf(r, m))
}
