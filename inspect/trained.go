// Package inspect looks at trained networks: what one predicts for a picture,
// how well it does on examples, what its layers see, and how a run went.
//
// It reads a run's folder or a checkpoint and never writes into them. What it
// computes goes the way that training's evaluations go (data.Preparation, nn.Pass), so
// that the loss and the counts of a data set have the bits of the run's record.
// gorgonia's tensors are the containers at its edges: named parameters, pictures
// in, feature maps out.
package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"gorgonia.org/tensor"

	"convoy/checkpoint"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
	"convoy/models"
	"convoy/nn"
	"convoy/optim"
)

// Trained is a trained network: the state of a checkpoint and what its recipe
// says of it.
type Trained struct {
	File   string // the checkpoint's path
	Recipe job.Recipe
	Step   int // of the run
	Digest digest.Sum
	Net    *nn.Net
	Params []float32 // as Net wants them

	manifest *data.Manifest // of the data that it was trained on, nil where that is not at hand
	names    []string       // of the classes
}

// Open reads a trained network: a checkpoint's file, or the folder of a run, of
// which it takes the newest checkpoint. Everything is checked, the state's digest
// included.
func Open(run string) (*Trained, error) {
	file, err := checkpointOf(run)
	if err != nil {
		return nil, err
	}
	about, err := checkpoint.About(file)
	if err != nil {
		return nil, err
	}
	state, _, err := checkpoint.Read(file, optim.FromJob(about.Recipe.Optimizer))
	if err != nil {
		return nil, err
	}
	net, err := models.ForRecipe(about.Recipe)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", file, err)
	}
	t := &Trained{File: file, Recipe: about.Recipe, Step: about.Step, Digest: about.Digest, Net: net, Params: state.Params}
	if err := t.fits(state.Layout); err != nil {
		return nil, err
	}
	if t.manifest, err = t.findManifest(); err != nil {
		return nil, err
	}
	t.names = classNames(data.Manifest{Classes: t.Recipe.Data.Classes})
	if t.manifest != nil {
		t.names = classNames(*t.manifest)
	}
	return t, nil
}

// fits compares the checkpoint's tensors with the network's.
func (t *Trained) fits(layout []optim.Tensor) error {
	same := func(a optim.Tensor, b nn.Tensor) bool { return a.Name == b.Name && slices.Equal(a.Dims, b.Dims) }
	if !slices.EqualFunc(layout, t.Net.Tensors(), same) {
		return fmt.Errorf("checkpoint %s: its tensors are not those of model %s as this program builds it: use the release that wrote it", t.File, t.Recipe.Model)
	}
	return nil
}

// Parameters returns the network's parameters by PyTorch's names. They share
// their memory with Params.
func (t *Trained) Parameters() map[string]*tensor.Dense {
	named := map[string]*tensor.Dense{}
	for _, x := range t.Net.Tensors() {
		window := t.Params[x.Offset : x.Offset+x.Len]
		named[x.Name] = tensor.New(tensor.WithShape(x.Dims...), tensor.WithBacking(window))
	}
	return named
}

// ClassNames returns a name for each class: those of the data set that the
// network was trained on, or that Meet showed it, and numbers where it has none.
func (t *Trained) ClassNames() []string { return slices.Clone(t.names) }

func classNames(m data.Manifest) []string {
	if len(m.ClassNames) == m.Classes {
		return slices.Clone(m.ClassNames)
	}
	names := make([]string, m.Classes)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}

// The parts of a run's folder that are read here.
const (
	modelFile       = "model.safetensors"
	jobsDir         = "jobs"
	checkpointsDir  = "checkpoints"
	dataDir         = "data"
	checkpointFiles = "step-*.safetensors" // sorted by name, they are sorted by step
)

// checkpointOf finds the file to read: run itself, the model of a finished run,
// or the newest checkpoint of the one job in the folder.
func checkpointOf(run string) (string, error) {
	info, err := os.Stat(run)
	if err != nil {
		return "", fmt.Errorf("run %s: %w: name the folder of a run (see `coordinator train`) or a .safetensors file", run, err)
	}
	if !info.IsDir() {
		return run, nil
	}
	model := filepath.Join(run, modelFile)
	if _, err := os.Stat(model); err == nil {
		return model, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	dir, err := jobDir(run)
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, checkpointsDir, checkpointFiles))
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("run %s has no checkpoint yet: wait until its first epoch ends", run)
	}
	return slices.Max(files), nil
}

// jobDir finds the folder of the one job in a run's folder; the job's own folder
// may be named as well.
func jobDir(run string) (string, error) {
	if _, err := os.Stat(filepath.Join(run, ledgerFile)); err == nil {
		return run, nil
	}
	entries, err := os.ReadDir(filepath.Join(run, jobsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var jobs []string
	for _, e := range entries {
		if e.IsDir() {
			jobs = append(jobs, filepath.Join(run, jobsDir, e.Name()))
		}
	}
	switch len(jobs) {
	case 0:
		return "", fmt.Errorf("folder %s holds no run: name one that `coordinator train` made, or a .safetensors file", run)
	case 1:
		return jobs[0], nil
	}
	return "", fmt.Errorf("folder %s holds %d jobs: name one of their folders, for example %s", run, len(jobs), jobs[0])
}
