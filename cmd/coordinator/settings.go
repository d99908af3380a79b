package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"convoy/cmd/internal/cli"
	"convoy/data"
	"convoy/job"
	"convoy/models"
)

// setting is a flag that stands for a key of the job file. Its text is handed
// to the job file's own reader, so that flag and file mean the same to the bit,
// and a flag that is left out differs from one that is 0.
type setting struct {
	flag, key, kind, usage string
	text                   string
}

func (s *setting) String() string { return s.text }
func (s *setting) Type() string   { return s.kind }
func (s *setting) Set(text string) error {
	s.text = text
	return nil
}

// settings are the flags of `train` that are part of the job file.
func settings() []*setting {
	return []*setting{
		{flag: "model", key: "model", kind: "name", usage: "network to train (default lenet-relu)"},
		{flag: "auxiliary", key: "model.auxiliary", kind: "bool", usage: "train the model's auxiliary classifiers too"},
		{flag: "data", key: "data", kind: "name", usage: "data set (default digits, which is built in)"},
		{flag: "data-dir", key: "data.dir", kind: "folder", usage: "folder that holds the data set's files"},
		{flag: "resize", key: "input.resize", kind: "size", usage: "bring images to this side in pixels, or to HEIGHTxWIDTH (default as they are)"},
		{flag: "normalize", key: "input.normalize", kind: "name", usage: "auto (the model's own, the default), unit or dataset"},
		{flag: "epochs", key: "epochs", kind: "n", usage: "passes over the training examples (default 3)"},
		{flag: "batch", key: "batch", kind: "n", usage: "examples of a step (default 256)"},
		{flag: "micro-batches", key: "micro_batches", kind: "n", usage: "slices of a batch, a power of two; part of the recipe (default 8)"},
		{flag: "lr", key: "optimizer.lr", kind: "x", usage: "learning rate (default 0.2)"},
		{flag: "momentum", key: "optimizer.momentum", kind: "x", usage: "momentum (default 0)"},
		{flag: "nesterov", key: "optimizer.nesterov", kind: "bool", usage: "Nesterov's momentum"},
		{flag: "weight-decay", key: "optimizer.weight_decay", kind: "x", usage: "L2 penalty (default 0)"},
		{flag: "decay-biases", key: "optimizer.decay_biases", kind: "bool", usage: "L2 penalty on biases too (default true)"},
		{flag: "clip-norm", key: "optimizer.clip_norm", kind: "x", usage: "greatest norm of a gradient (default 0, any)"},
		{flag: "schedule", key: "schedule.type", kind: "name", usage: "of the learning rate, such as cosine (default constant)"},
		{flag: "seed", key: "seed", kind: "n", usage: "seed of everything random (default 1)"},
		{flag: "algorithm", key: "algorithm", kind: "name", usage: "algorithm of convolutions, auto or direct (default auto)"},
		{flag: "loss", key: "loss", kind: "name", usage: "what training makes small (default auto, the model's own)"},
	}
}

func addSettings(flags *pflag.FlagSet, list []*setting) {
	for _, s := range list {
		f := flags.VarPF(s, s.flag, "", s.usage)
		if s.kind == "bool" {
			f.NoOptDefVal = "true"
		}
	}
}

// overrides are the flags that were given, as the job file's overrides.
func overrides(flags *pflag.FlagSet, list []*setting) []string {
	var given []string
	for _, s := range list {
		if flags.Changed(s.flag) {
			given = append(given, s.key+"="+s.text)
		}
	}
	return given
}

// readJobFile reads a job file from disk.
func readJobFile(path string, overrides []string) (job.File, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return job.File{}, cli.Usagef("job file: %w: name a YAML file such as examples/lenet.yaml", err)
	}
	f, err := job.Parse(source, path, overrides...)
	return f, cli.Usage(err)
}

// resolved is a job file whose names have all been looked up.
type resolved struct {
	file   job.File
	set    *data.Set
	recipe job.Recipe
}

// resolve opens the data set and builds the network that f names, so that what
// cannot be trained is refused before anything is written.
func resolve(f job.File) (resolved, error) {
	var err error
	if _, err := models.Of(f.Recipe(job.Data{})); err != nil {
		return resolved{}, cli.Usage(f.Errorf(f.ModelKey(), "%w", err))
	}
	if f.Data.Dir != "" {
		if f.Data.Dir, err = filepath.Abs(f.Data.Dir); err != nil {
			return resolved{}, fmt.Errorf("data.dir: %w", err)
		}
	}
	set, err := data.Open(f.Data.Name, f.Data.Dir)
	if err != nil {
		key := "data.dir"
		if f.Data.Dir == "" {
			key = "data.name"
		}
		return resolved{}, cli.Usage(f.Errorf(key, "%w", err))
	}
	recipe := f.Recipe(set.Manifest.ForRecipe())
	if err := cmp.Or(f.Fits(recipe.Data), recipe.Check()); err != nil {
		return resolved{}, cli.Usage(err)
	}
	if _, err := models.ForRecipe(recipe); err != nil {
		return resolved{}, cli.Usage(f.Errorf(f.ModelKey(), "%w", err))
	}
	input, err := models.InputOf(recipe)
	if err == nil {
		_, err = data.NewPreparation(set.Manifest, input, recipe.Augment, recipe.Seed)
	}
	if err != nil {
		return resolved{}, cli.Usage(f.Errorf("input.normalize", "%w", err))
	}
	return resolved{f, set, recipe}, nil
}

// upload is the data set where a cluster has to be sent it, nil where every
// process makes it itself.
func (r resolved) upload() *data.Set {
	if r.set.Manifest.Builtin() {
		return nil
	}
	return r.set
}

// contradiction names the first override that would change f.
func contradiction(f job.File, given []string) (string, error) {
	for _, o := range given {
		changed := f
		if err := changed.Set(o); err != nil {
			return "", cli.Usage(err)
		}
		if string(changed.YAML()) != string(f.YAML()) {
			key, value, _ := strings.Cut(o, "=")
			return fmt.Sprintf("%s %s", key, value), nil
		}
	}
	return "", nil
}
