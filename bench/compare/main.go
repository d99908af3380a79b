// Command compare measures Convoy beside PyTorch, alternating on the same cores,
// and writes docs/benchmarks.md; `make bench-torch` runs it.
//
// Each model's figures are a raw file of their own in docs/benchmarks, and the
// document is made of those that are there: models may be measured one at a time,
// and on another day.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"convoy/bench/report"
)

// A subject is a model that is compared, with the ratio that is to be reached.
type subject struct {
	model, torch string // its name here and in bench/torch/models.py
	batch        int
	title        string
	want         float64
}

var subjects = []subject{
	{"lenet", "lenet", 256, "LeNet, sigmoid and average pooling", 4.0},
	{"lenet-relu", "lenet_relu", 256, "LeNet, ReLU and max pooling", 3.0},
	{"alexnet", "alexnet", 32, "AlexNet", 1.8},
	{"vgg11/4", "vgg11_small", 32, "VGG-11, a quarter of the channels", 1.8},
	{"vgg11", "vgg11", 8, "VGG-11", 2.0},
	{"nin", "nin", 32, "NiN", 1.5},
	{"googlenet", "googlenet", 32, "GoogLeNet", 1.3},
}

// parts are what can be measured.
var parts = []string{"steps", "train", "layers", "errors"}

type settings struct {
	models, parts      []string
	threads            int
	alternations       int
	coordinator, torch string
	python             string
	document, raw      string
	disturbed          bool // what others disturb counts
}

func (s settings) machine() report.Machine {
	return report.Machine{Threads: s.threads, Disturbed: s.disturbed}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var s settings
	names := flag.String("models", "", "models to measure, with commas between (default all of the table)")
	only := flag.String("only", "", "what to measure: "+strings.Join(parts, ", ")+", with commas between, or none (default all)")
	cases := flag.String("write-cases", "", "write the cases of kernel_error.py to this folder, and measure nothing")
	flag.IntVar(&s.threads, "threads", 2, "threads of both")
	flag.IntVar(&s.alternations, "alternations", 5, "how often each is measured")
	flag.StringVar(&s.coordinator, "coordinator", "bin/coordinator", "the program coordinator")
	flag.StringVar(&s.python, "python", "/usr/bin/python3", "the Python that has torch")
	flag.StringVar(&s.torch, "torch", "bench/torch", "folder of the PyTorch programs")
	flag.StringVar(&s.document, "document", "docs/benchmarks.md", "document whose tables are written")
	flag.StringVar(&s.raw, "raw", "docs/benchmarks", "folder of the raw figures")
	flag.BoolVar(&s.disturbed, "disturbed", false, "take what is measured while other processes use the cores")
	flag.Parse()
	if flag.NArg() > 0 || s.threads < 1 || s.alternations < 1 {
		return errors.New("want flags alone, and at least one thread and alternation; see --help")
	}
	if *cases != "" {
		return writeCases(*cases, s.threads)
	}
	var err error
	if s.models, err = choose("model", *names, modelNames()); err != nil {
		return err
	}
	if s.parts, err = choose("part", *only, append(slices.Clone(parts), "none")); err != nil {
		return err
	}
	if err := os.MkdirAll(s.raw, 0o755); err != nil {
		return err
	}
	return errors.Join(s.measure(ctx), s.writeDocument())
}

// choose reads a list of names; an empty one stands for all.
func choose(what, list string, known []string) ([]string, error) {
	if list == "" {
		return known, nil
	}
	names := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("there is no %s %q; there are %s", what, n, strings.Join(known, ", "))
		}
	}
	return names, nil
}

func modelNames() []string {
	var names []string
	for _, s := range subjects {
		names = append(names, s.model)
	}
	return names
}

// measure measures what was asked for. What cannot be measured leaves the figures
// of an earlier run, and the rest goes on.
func (s settings) measure(ctx context.Context) error {
	var all error
	do := func(part string, m subject, f func(context.Context, subject) error) {
		if ctx.Err() != nil || !slices.Contains(s.parts, part) {
			return
		}
		if err := f(ctx, m); err != nil {
			report.Progress("%s of %s: %v", part, m.model, err)
			all = errors.Join(all, fmt.Errorf("%s of %s: %w", part, m.model, err))
		}
	}
	for _, m := range subjects {
		if slices.Contains(s.models, m.model) {
			do("steps", m, s.steps)
			if slices.Contains(trained, m.model) {
				do("train", m, s.train)
			}
			do("layers", m, s.layers)
		}
	}
	do("errors", subject{model: "all layers"}, s.errors)
	return errors.Join(all, ctx.Err())
}
