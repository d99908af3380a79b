// Command accuracy trains the networks of job files twice, by Convoy and by
// PyTorch, from the same parameters, on the same photographs in the same order,
// and holds the losses of the first steps and the test accuracies against each
// other; `make accuracy-torch` runs it.
//
// What came of it is written to docs/results, two raw files a job: what
// `coordinator train -o json` printed, and the comparison. A run that stands in the
// work folder already is taken as it is, so that one half can be repeated alone.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"convoy/data"
	"convoy/job"
)

// What has to be reached: the losses of so many first steps differ by at most
// lossBound, the accuracies at the end by at most accuracyBound.
const (
	comparedSteps = 50
	lossBound     = 1e-3
	accuracyBound = 0.01
)

type settings struct {
	coordinator, python, torch string
	photographs                string
	work, raw                  string
	threads                    int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var s settings
	flag.StringVar(&s.photographs, "data-dir", "", "folder of the photographs: train/CLASS/FILE and test/CLASS/FILE")
	flag.StringVar(&s.work, "work", "runs/accuracy", "folder for the runs")
	flag.StringVar(&s.raw, "raw", "docs/results", "folder of the raw figures")
	flag.StringVar(&s.coordinator, "coordinator", "bin/coordinator", "the program coordinator")
	flag.StringVar(&s.python, "python", "/usr/bin/python3", "the Python that has torch and PIL")
	flag.StringVar(&s.torch, "torch", "bench/torch", "folder of the PyTorch programs")
	flag.IntVar(&s.threads, "threads", 2, "threads of both")
	flag.Parse()
	if s.photographs == "" || flag.NArg() == 0 || s.threads < 1 {
		return errors.New("want --data-dir FOLDER, at least one thread, and job files such as examples/cifar-vgg.yaml; see --help")
	}
	if err := os.MkdirAll(s.raw, 0o755); err != nil {
		return err
	}
	var all error
	for _, file := range flag.Args() {
		if err := s.compare(ctx, file); err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", file, err))
		}
		if ctx.Err() != nil {
			return errors.Join(all, ctx.Err())
		}
	}
	return all
}

// compare trains one job by both and writes down what came of it.
func (s settings) compare(ctx context.Context, file string) error {
	recipe, err := s.recipe(ctx, file)
	if err != nil {
		return err
	}
	if err := repeatable(recipe); err != nil {
		return err
	}
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	dir := filepath.Join(s.work, name)
	result, err := s.convoy(ctx, file, dir)
	if err != nil {
		return err
	}
	if result.RecipeHash != recipe.Hash().String() {
		return fmt.Errorf("the run in %s is of another recipe: remove the folder", dir)
	}
	losses, err := lossesOf(dir)
	if err != nil {
		return err
	}
	theirs, err := s.pyTorch(ctx, recipe, dir+"-torch")
	if err != nil {
		return err
	}
	c := comparison{Job: file, RecipeHash: result.RecipeHash, Digest: result.Digest}
	if err := c.fill(result, losses, theirs); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(s.raw, name+".json"), result.raw); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(s.raw, name+"-torch.json"), c); err != nil {
		return err
	}
	fmt.Println(c)
	return c.check()
}

// recipe asks the coordinator what a job file and the photographs come to.
func (s settings) recipe(ctx context.Context, file string) (job.Recipe, error) {
	b, err := output(ctx, s.coordinator, "job", "submit", file, "--dry-run", "--set", "data.dir="+s.photographs, "-o", "json")
	if err != nil {
		return job.Recipe{}, err
	}
	var dry struct {
		Recipe json.RawMessage `json:"recipe"`
	}
	if err := json.Unmarshal(b, &dry); err != nil {
		return job.Recipe{}, fmt.Errorf("%s job submit --dry-run: %w", s.coordinator, err)
	}
	return canonical(dry.Recipe)
}

// convoy trains into dir, unless a run has ended there already.
func (s settings) convoy(ctx context.Context, file, dir string) (trained, error) {
	b, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if errors.Is(err, os.ErrNotExist) {
		progress("%s: training by Convoy into %s", file, dir)
		b, err = output(ctx, s.coordinator, "train", "--job", file, "--data-dir", s.photographs, "--out", dir,
			"--threads", fmt.Sprint(s.threads), "--no-progress", "-o", "json")
	}
	if err != nil {
		return trained{}, err
	}
	r := trained{raw: b}
	if err := json.Unmarshal(b, &r); err != nil {
		return trained{}, fmt.Errorf("result of %s: %w", dir, err)
	}
	return r, nil
}

// pyTorch exports what the recipe begins with into dir, and trains from it.
func (s settings) pyTorch(ctx context.Context, recipe job.Recipe, dir string) (r torchResult, err error) {
	set, err := data.Open(recipe.Data.Name, s.photographs)
	if err != nil {
		return r, err
	}
	if err := export(dir, recipe, set); err != nil {
		return r, fmt.Errorf("export to %s: %w", dir, err)
	}
	progress("training by PyTorch from %s", dir)
	b, err := output(ctx, s.python, filepath.Join(s.torch, "train_job.py"), "--plan", dir, "--data-dir", s.photographs,
		"--threads", fmt.Sprint(s.threads))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("train_job.py: %w", err)
	}
	return r, nil
}

// output runs a program whose progress goes on to the terminal.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Stderr = os.Stderr
	c.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	b, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return b, nil
}

// canonical reads a recipe that was indented on its way.
func canonical(text json.RawMessage) (job.Recipe, error) {
	var r job.Recipe
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("recipe: %w", err)
	}
	return r, r.Check()
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
