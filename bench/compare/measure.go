package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"convoy/bench"
)

// call runs a program and returns what it printed, and how many cores other
// processes used meanwhile.
func (s settings) call(ctx context.Context, args ...string) (text string, others float64, err error) {
	return s.quietly(func(int) (string, float64, error) { return s.callOnce(ctx, args...) })
}

// quietly repeats a run that other processes disturbed: PyTorch's threads spin
// while they wait for one another, and are ten times as slow where one of them has
// to share its core.
func (s settings) quietly(run func(attempt int) (string, float64, error)) (text string, others float64, err error) {
	for i := range patience {
		if i > 0 {
			progress("others used %.2f cores: once more", others)
			awaitQuiet(s.threads)
		}
		if text, others, err = run(i); err != nil || others <= quiet || s.disturbed {
			return text, others, err
		}
	}
	return "", others, fmt.Errorf("others used %.2f cores after %d attempts: measure on a quiet machine, or with --disturbed", others, patience)
}

// callOnce runs a program on the first cores alone, as many as there are threads.
func (s settings) callOnce(ctx context.Context, args ...string) (text string, others float64, err error) {
	if taskset, err := exec.LookPath("taskset"); err == nil && runtime.NumCPU() > s.threads {
		args = append([]string{taskset, "--cpu-list", fmt.Sprintf("0-%d", s.threads-1)}, args...)
	}
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Stderr = os.Stderr
	c.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	w := startWatch(s.threads)
	out, err := c.Output()
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), w.others(c.ProcessState.UserTime() + c.ProcessState.SystemTime()), nil
}

// one calls a program that prints one JSON line.
func one[T any](ctx context.Context, s settings, args ...string) (v T, others float64, err error) {
	text, others, err := s.call(ctx, args...)
	if err != nil {
		return v, 0, err
	}
	list, err := lines[T](text)
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("%d lines, want one", len(list))
	}
	if err != nil {
		return v, 0, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return list[0], others, nil
}

// program is a Python program of bench/torch.
func (s settings) program(name string, args ...string) []string {
	return append([]string{s.python, filepath.Join(s.torch, name), "--threads", fmt.Sprint(s.threads)}, args...)
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

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
		Origin: s.origin(strings.Join(ours, " ")), Model: m.model, Batch: m.batch, Threads: s.threads,
		Torch: map[string][]torchStep{},
	}
	for range s.alternations {
		r, t, others, err := s.alternation(ctx, m, ours)
		if err != nil {
			return err
		}
		progress("%s: %.5g images/s, PyTorch %.5g NCHW, %.5g NHWC", m.model, r.ImagesPerSec, t["nchw"].ImagesPerSec, t["nhwc"].ImagesPerSec)
		f.Ours = append(f.Ours, r)
		f.Others = append(f.Others, others)
		for _, layout := range layouts {
			f.Torch[layout] = append(f.Torch[layout], t[layout])
		}
	}
	return writeRaw(s.path("steps", m.model), f)
}

// alternation measures each side once; others is the worst of the three.
func (s settings) alternation(ctx context.Context, m subject, ours []string) (r bench.StepResult, t map[string]torchStep, others float64, err error) {
	t = map[string]torchStep{}
	if r, others, err = one[bench.StepResult](ctx, s, ours...); err != nil {
		return r, t, 0, err
	}
	for _, layout := range layouts {
		v, o, err := one[torchStep](ctx, s, s.program("bench_train.py", "--model", m.torch, "--batch", fmt.Sprint(m.batch),
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
		Origin: s.origin(strings.Join(ours, " ")), Model: m.model, Threads: s.threads,
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
		progress("%s: %d layers, %d of %d; others used up to %.2f cores", m.model, len(r.Layers), i+1, n, others)
	}
	f.Others = []float64{others}
	return writeRaw(s.path("layers", m.model), f)
}

// set calls `bench kernels`.
func (s settings) set(ctx context.Context, r *bench.KernelsResult, args []string) (others float64, err error) {
	*r, others, err = one[bench.KernelsResult](ctx, s, args...)
	return others, err
}

// torchLayers has PyTorch compute the layers of r in both layouts.
func (s settings) torchLayers(ctx context.Context, r bench.KernelsResult, results map[string][][]torchLayer) (others float64, err error) {
	list, err := os.CreateTemp("", "layers-*.json")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(list.Name()) }()
	if err := errors.Join(list.Close(), writeRaw(list.Name(), r)); err != nil {
		return 0, err
	}
	for _, layout := range layouts {
		text, o, err := s.call(ctx, s.program("bench_layers.py", "--layers", list.Name(), "--seconds", directionSeconds, "--layout", layout)...)
		if err != nil {
			return 0, err
		}
		t, err := lines[torchLayer](text)
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
	text, _, err := s.callOnce(ctx, s.program("kernel_error.py", dir)...)
	if err != nil {
		return err
	}
	f := errorsFile{Origin: s.origin("go run ./bench/compare --only errors")}
	if f.Cases, err = lines[errorLine](text); err != nil {
		return err
	}
	return writeRaw(s.path("errors", ""), f)
}
