package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"convoy/bench/report"
	"convoy/scaling"
)

// speedsFile is points that were measured in turn, all of them in each round.
type speedsFile struct {
	Origin report.Origin `json:"origin"`
	Lines  []speedLine   `json:"lines"`
}

// A speedLine is one cluster, measured some times.
type speedLine struct {
	Model        string          `json:"model"`
	Batch        int             `json:"batch"`
	MicroBatches int             `json:"micro_batches"`
	Wire         string          `json:"wire"`
	WireUnit     int             `json:"wire_unit"`
	SimulateMS   int             `json:"simulate_ms"`
	Replicas     int             `json:"replicas"`
	Workers      int             `json:"workers"`
	Threads      int             `json:"threads"`
	Points       []scaling.Point `json:"points"`
}

func (l speedLine) rates() []float64 {
	return report.Each(l.Points, func(p scaling.Point) float64 { return p.ImagesPerSec })
}

// speeds measures all lines in turn.
func (s settings) speeds(ctx context.Context, part string, lines []speedLine) error {
	f := speedsFile{Origin: report.NewOrigin("go run ./bench/reliability --only " + part), Lines: lines}
	for range s.rounds {
		for i := range f.Lines {
			p, err := s.speed(ctx, f.Lines[i])
			if err != nil {
				return err
			}
			l := &f.Lines[i]
			report.Progress("%s: %s, batch %d in %d, %s, %d replicas, %d workers: %.5g images/s", part, l.Model, l.Batch, l.MicroBatches, l.Wire, l.Replicas, l.Workers, p.ImagesPerSec)
			l.Points = append(l.Points, p)
		}
	}
	return report.WriteRaw(s.path(part), f)
}

// speed measures one cluster with `coordinator bench scaling`.
func (s settings) speed(ctx context.Context, l speedLine) (scaling.Point, error) {
	args := []string{
		s.coordinator, "bench", "scaling", "--model", l.Model, "--batch", fmt.Sprint(l.Batch), "--micro-batches", fmt.Sprint(l.MicroBatches),
		"--replicas", fmt.Sprint(l.Replicas), "--workers", fmt.Sprint(l.Workers), "--threads", fmt.Sprint(l.Threads),
		"--wire", l.Wire, "--wire-unit", fmt.Sprint(l.WireUnit),
		"--simulate-compute", (time.Duration(l.SimulateMS) * time.Millisecond).String(),
		"--seconds", fmt.Sprint(s.seconds), "--worker-bin", s.worker, "-o", "json",
	}
	r, _, err := report.One[scaling.Result](ctx, s.machine, args...)
	if err != nil {
		return scaling.Point{}, err
	}
	if len(r.Points) != 1 {
		return scaling.Point{}, fmt.Errorf("%s: %d points, want one", strings.Join(args, " "), len(r.Points))
	}
	return r.Points[0], nil
}

// replicas measures what replication costs, with the workers' threads on two cores.
func (s settings) replicas(ctx context.Context) error {
	var lines []speedLine
	add := func(model string, batch int, wire string, unit int, replicas ...int) {
		for _, n := range replicas {
			lines = append(lines, speedLine{Model: model, Batch: batch, MicroBatches: 8, Wire: wire, WireUnit: unit, Replicas: n, Workers: 2, Threads: 1})
		}
	}
	add("lenet-relu", 256, "fp32", 0, 1, 3, 5)
	add("lenet", 256, "fp32", 0, 1, 3, 5)
	for _, batch := range []int{32, 128, 256} {
		add("alexnet", batch, "fp32", 0, 1, 3)
		add("alexnet", batch, "bf16", 4, 1, 3)
	}
	return s.speeds(ctx, "replicas", lines)
}

func (s settings) replicasTable(origins *report.Table) (string, error) {
	var f speedsFile
	found, err := report.ReadRaw(s.path("replicas"), &f)
	if err != nil {
		return "", err
	}
	if found {
		origins.From("replicas", f.Origin, nil)
	}
	t := &report.Table{Head: []string{"model", "batch", "wire", "replicas", "images/s", "to one replica", "computing", "waiting", "communication"}}
	var one speedLine
	for _, l := range f.Lines {
		if l.Replicas == 1 {
			one = l
		}
		t.Add(l.Model, fmt.Sprint(l.Batch), l.Wire, fmt.Sprint(l.Replicas), report.Spread(l.rates(), 4),
			"**"+report.Spread(report.Ratios(l.rates(), one.rates()), 3)+"**", l.share(func(p scaling.Point) float64 { return p.Compute }),
			l.share(func(p scaling.Point) float64 { return p.Wait }), l.share(func(p scaling.Point) float64 { return p.Communication }))
	}
	return t.String(), nil
}

// share is a median of the workers' time, in per cent.
func (l speedLine) share(of func(scaling.Point) float64) string {
	return fmt.Sprintf("%.0f %%", 100*report.Median(report.Each(l.Points, of)))
}

// microBatches measures what cutting a batch into more pieces costs.
func (s settings) microBatches(ctx context.Context) error {
	var lines []speedLine
	for _, m := range []int{1, 2, 4, 8, 16, 32, 64} {
		lines = append(lines, speedLine{Model: "lenet-relu", Batch: 256, MicroBatches: m, Wire: "fp32", Replicas: 1, Workers: 1, Threads: 2})
	}
	for _, m := range []int{1, 8, 32} {
		lines = append(lines, speedLine{Model: "alexnet", Batch: 32, MicroBatches: m, Wire: "fp32", Replicas: 1, Workers: 1, Threads: 2})
	}
	return s.speeds(ctx, "micro-batches", lines)
}

func (s settings) microBatchesTable(origins *report.Table) (string, error) {
	var f speedsFile
	found, err := report.ReadRaw(s.path("micro-batches"), &f)
	if err != nil {
		return "", err
	}
	if found {
		origins.From("micro-batches", f.Origin, nil)
	}
	t := &report.Table{Head: []string{"model", "batch", "micro-batches", "images/s", "to one micro-batch"}}
	var one speedLine
	for _, l := range f.Lines {
		if l.MicroBatches == 1 {
			one = l
		}
		t.Add(l.Model, fmt.Sprint(l.Batch), fmt.Sprint(l.MicroBatches), report.Spread(l.rates(), 4), "**"+report.Spread(report.Ratios(l.rates(), one.rates()), 3)+"**")
	}
	return t.String(), nil
}

// coordination measures clusters whose workers sleep instead of computing.
func (s settings) coordination(ctx context.Context) error {
	var lines []speedLine
	for _, n := range []int{1, 4, 16, 64} {
		lines = append(lines, speedLine{Model: "lenet-relu", Batch: 256, MicroBatches: 64, Wire: "fp32", SimulateMS: 50, Replicas: 3, Workers: n, Threads: 1})
	}
	return s.speeds(ctx, "coordination", lines)
}

func (s settings) coordinationTable(origins *report.Table) (string, error) {
	var f speedsFile
	found, err := report.ReadRaw(s.path("coordination"), &f)
	if err != nil {
		return "", err
	}
	if found {
		origins.From("coordination", f.Origin, nil)
	}
	t := &report.Table{Head: []string{"model", "workers", "replicas", "sleep, ms", "ms a step", "beside the sleep, ms"}}
	for _, l := range f.Lines {
		steps := report.Each(l.Points, func(p scaling.Point) float64 { return p.StepMS })
		t.Add(l.Model, fmt.Sprint(l.Workers), fmt.Sprint(l.Replicas), fmt.Sprint(l.SimulateMS), report.Spread(steps, 4),
			report.Spread(report.Each(steps, func(ms float64) float64 { return ms - float64(l.SimulateMS) }), 3))
	}
	return t.String(), nil
}

// ddpFile is Convoy's and PyTorch's data parallelism in turn.
type ddpFile struct {
	Origin report.Origin `json:"origin"`
	Lines  []ddpLine     `json:"lines"`
}

type ddpLine struct {
	Model   string          `json:"model"`
	Batch   int             `json:"batch"`
	Want    float64         `json:"want"`
	Points  []scaling.Point `json:"points"`
	OneProc []float64       `json:"one_process"` // images/s of `coordinator bench step` with both cores
	Torch   []ddpTorch      `json:"torch"`
}

// ddpTorch is a line of ddp_bench.py.
type ddpTorch struct {
	ImagesPerSec float64 `json:"images_per_second"`
	Min          float64 `json:"min"`
	Max          float64 `json:"max"`
	Bytes        int64   `json:"loopback_bytes_per_step"`
}

// ddp measures two workers with one thread each, three replicas and NATS, and two
// ranks with one thread each, in turn.
func (s settings) ddp(ctx context.Context) error {
	f := ddpFile{Origin: report.NewOrigin("go run ./bench/reliability --only ddp"), Lines: []ddpLine{
		{Model: "lenet-relu", Batch: 256, Want: 3}, {Model: "lenet", Batch: 256, Want: 3}, {Model: "alexnet", Batch: 32, Want: 1},
	}}
	names := map[string]string{"lenet-relu": "lenet_relu", "lenet": "lenet", "alexnet": "alexnet"}
	for i := range f.Lines {
		l := &f.Lines[i]
		for range s.alternations {
			p, err := s.speed(ctx, speedLine{Model: l.Model, Batch: l.Batch, MicroBatches: 8, Wire: "fp32", Replicas: 3, Workers: 2, Threads: 1})
			if err != nil {
				return err
			}
			t, _, err := report.One[ddpTorch](ctx, s.machine, "bash", "-c", fmt.Sprintf("%s 2 --model %s --batch %d --threads 1 --seconds %g 2>/dev/null | grep '^{'",
				filepath.Join(s.torch, "ddp.sh"), names[l.Model], l.Batch, s.seconds/3))
			if err != nil {
				return err
			}
			single, err := s.oneProcess(ctx, l.Model, l.Batch)
			if err != nil {
				return err
			}
			report.Progress("%s: %.5g images/s, DDP %.5g, one process %.5g", l.Model, p.ImagesPerSec, t.ImagesPerSec, single)
			l.Points, l.Torch, l.OneProc = append(l.Points, p), append(l.Torch, t), append(l.OneProc, single)
		}
	}
	return report.WriteRaw(s.path("ddp"), f)
}

// oneProcess is the speed of the step alone, with both cores and no network.
func (s settings) oneProcess(ctx context.Context, model string, batch int) (float64, error) {
	r, _, err := report.One[struct {
		ImagesPerSec float64 `json:"images_per_second"`
	}](ctx, s.machine, s.coordinator, "bench", "step", "--model", model, "--batch", fmt.Sprint(batch), "--threads", "2", "--seconds", fmt.Sprint(s.seconds), "-o", "json")
	return r.ImagesPerSec, err
}

func (s settings) ddpTable(origins *report.Table) (string, error) {
	var f ddpFile
	found, err := report.ReadRaw(s.path("ddp"), &f)
	if err != nil {
		return "", err
	}
	if found {
		origins.From("beside DDP", f.Origin, nil)
	}
	t := &report.Table{Head: []string{"model", "batch", "Convoy, images/s", "DDP, images/s", "ratio", "to reach", "one process, images/s", "part of it"}}
	for _, l := range f.Lines {
		ours := report.Each(l.Points, func(p scaling.Point) float64 { return p.ImagesPerSec })
		theirs := report.Each(l.Torch, func(p ddpTorch) float64 { return p.ImagesPerSec })
		t.Add(l.Model, fmt.Sprint(l.Batch), report.Spread(ours, 4), report.Spread(theirs, 4), "**"+report.Spread(report.Ratios(ours, theirs), 3)+"**",
			fmt.Sprint(l.Want), report.Spread(l.OneProc, 4), report.Spread(report.Ratios(ours, l.OneProc), 3))
	}
	return t.String(), nil
}
