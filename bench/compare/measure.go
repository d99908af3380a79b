package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"convoy/bench"
	"convoy/bench/report"
)

// program is a Python program of bench/torch.
func (s settings) program(name string, args ...string) []string {
	return append([]string{s.python, filepath.Join(s.torch, name), "--threads", fmt.Sprint(s.threads)}, args...)
}

// secondsOf is how long one measurement of a step takes: long enough for some
// steps of the slower side.
func secondsOf(m subject) float64 {
	if m.model == "vgg11" {
		return 6
	}
	return 2.4
}

// step is the command that measures a model's training step.
func (s settings) step(m subject) []string {
	return []string{
		s.coordinator, "bench", "step", "--model", m.model, "--batch", fmt.Sprint(m.batch), "--threads", fmt.Sprint(s.threads),
		"--seconds", fmt.Sprint(secondsOf(m)), "-o", "json",
	}
}

// steps measures a model's training step, ours and PyTorch's in both layouts in
// turn.
func (s settings) steps(ctx context.Context, m subject) error {
	ours := s.step(m)
	f := stepsFile{
		Origin: report.NewOrigin(strings.Join(ours, " ")), Model: m.model, Batch: m.batch, Threads: s.threads,
		Torch: map[string][]torchStep{},
	}
	for range s.alternations {
		r, t, others, err := s.alternation(ctx, m, ours)
		if err != nil {
			return err
		}
		report.Progress("%s: %.5g images/s, PyTorch %.5g NCHW, %.5g NHWC", m.model, r.ImagesPerSec, t["nchw"].ImagesPerSec, t["nhwc"].ImagesPerSec)
		f.Ours = append(f.Ours, r)
		f.Others = append(f.Others, others)
		for _, layout := range layouts {
			f.Torch[layout] = append(f.Torch[layout], t[layout])
		}
	}
	return report.WriteRaw(s.path("steps", m.model), f)
}

// alternation measures each side once; others is the worst of the three.
func (s settings) alternation(ctx context.Context, m subject, ours []string) (r bench.StepResult, t map[string]torchStep, others float64, err error) {
	t = map[string]torchStep{}
	if r, others, err = report.One[bench.StepResult](ctx, s.machine(), ours...); err != nil {
		return r, t, 0, err
	}
	for _, layout := range layouts {
		v, o, err := report.One[torchStep](ctx, s.machine(), s.program("bench_train.py", "--model", m.torch, "--batch", fmt.Sprint(m.batch),
			"--reps", "3", "--seconds", fmt.Sprint(secondsOf(m)/3), "--layout", layout)...)
		if err != nil {
			return r, t, 0, err
		}
		t[layout], others = v, max(others, o)
	}
	return r, t, others, nil
}

// kernels is the command that measures a model's layers.
func (s settings) kernels(m subject, threads int, algorithm string) []string {
	return []string{
		s.coordinator, "bench", "kernels", "--model", m.model, "--batch", fmt.Sprint(m.batch), "--threads", fmt.Sprint(threads),
		"--seconds", directionSeconds, "--algorithm", algorithm, "-o", "json",
	}
}

// directionSeconds is how long each direction of a layer is measured.
const directionSeconds = "0.1"

// layers measures each distinct layer of a model: ours and PyTorch's in both
// layouts in turn, and ours with one thread.
func (s settings) layers(ctx context.Context, m subject) error {
	ours := s.kernels(m, s.threads, "auto")
	f := layersFile{
		Origin: report.NewOrigin(strings.Join(ours, " ")), Model: m.model, Threads: s.threads,
		Torch: map[string][][]torchLayer{},
	}
	others, err := s.set(ctx, &f.Direct, s.kernels(m, 1, "direct"))
	if err != nil {
		return err
	}
	n := max(1, s.alternations/2) // there are many layers, and each is measured some times
	for i := range n {
		var r, single bench.KernelsResult
		a, err := s.set(ctx, &r, ours)
		if err != nil {
			return err
		}
		b, err := s.set(ctx, &single, s.kernels(m, 1, "auto"))
		if err != nil {
			return err
		}
		f.Ours, f.One = append(f.Ours, r), append(f.One, single)
		c, err := s.torchLayers(ctx, r, f.Torch)
		if err != nil {
			return err
		}
		others = max(others, a, b, c)
		report.Progress("%s: %d layers, %d of %d; others used up to %.2f cores", m.model, len(r.Layers), i+1, n, others)
	}
	f.Others = []float64{others}
	return report.WriteRaw(s.path("layers", m.model), f)
}

// set calls `bench kernels`.
func (s settings) set(ctx context.Context, r *bench.KernelsResult, args []string) (others float64, err error) {
	*r, others, err = report.One[bench.KernelsResult](ctx, s.machine(), args...)
	return others, err
}

// torchLayers has PyTorch compute the layers of r in both layouts.
func (s settings) torchLayers(ctx context.Context, r bench.KernelsResult, results map[string][][]torchLayer) (others float64, err error) {
	list, err := os.CreateTemp("", "layers-*.json")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(list.Name()) }()
	if err := errors.Join(list.Close(), report.WriteRaw(list.Name(), r)); err != nil {
		return 0, err
	}
	for _, layout := range layouts {
		text, o, err := s.machine().Call(ctx, s.program("bench_layers.py", "--layers", list.Name(), "--seconds", directionSeconds, "--layout", layout)...)
		if err != nil {
			return 0, err
		}
		t, err := report.Lines[torchLayer](text)
		if err == nil && len(t) != len(r.Layers) {
			err = fmt.Errorf("%d layers of PyTorch, %d of ours", len(t), len(r.Layers))
		}
		if err != nil {
			return 0, err
		}
		others = max(others, o)
		results[layout] = append(results[layout], t)
	}
	return others, nil
}

// errors computes the kernels' rounding errors and PyTorch's on the same data.
func (s settings) errors(ctx context.Context, _ subject) error {
	dir, err := os.MkdirTemp("", "cases-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := writeCases(dir, s.threads); err != nil {
		return err
	}
	text, _, err := s.machine().CallOnce(ctx, s.program("kernel_error.py", dir)...)
	if err != nil {
		return err
	}
	f := errorsFile{Origin: report.NewOrigin("go run ./bench/compare --only errors")}
	if f.Cases, err = report.Lines[errorLine](text); err != nil {
		return err
	}
	return report.WriteRaw(s.path("errors", ""), f)
}
