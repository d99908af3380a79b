package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"convoy/bench/report"
	"convoy/local"
	"convoy/scaling"
)

// memoryFile is the most that each process has held in memory.
type memoryFile struct {
	Origin report.Origin `json:"origin"`
	Lines  []memoryLine  `json:"lines"`
}

type memoryLine struct {
	Model string             `json:"model"`
	Batch int                `json:"batch"`
	MiB   map[string]float64 `json:"mib"` // by process
}

// memory trains on a cluster through the loss of a replica, a worker and NATS, and
// reads what each process held at most.
func (s settings) memory(ctx context.Context) error {
	f := memoryFile{Origin: report.NewOrigin("go run ./bench/reliability --only memory")}
	for _, j := range []scaling.Job{
		{Model: "lenet-relu", Batch: 256, MicroBatches: 8, Workers: 2}, {Model: "alexnet", Batch: 32, MicroBatches: 8, Workers: 2},
	} {
		l := memoryLine{Model: j.Model, Batch: j.Batch}
		var err error
		if l.MiB, err = s.peaks(ctx, j); err != nil {
			return fmt.Errorf("%s: %w", j.Model, err)
		}
		f.Lines = append(f.Lines, l)
		report.Progress("%s: %v MiB", l.Model, l.MiB)
	}
	return report.WriteRaw(s.path("memory"), f)
}

func (s settings) peaks(ctx context.Context, j scaling.Job) (peaks map[string]float64, err error) {
	begin, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	c, err := local.Start(begin, local.Options{Replicas: 3, Workers: 2, Threads: 1, Coordinator: s.coordinator, Worker: s.worker})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	id, err := j.Submit(begin, c.Client())
	if err != nil {
		return nil, err
	}
	w := watch(ctx, c.Client(), id)
	defer w.stop()
	further := func(steps uint64) error {
		from, _ := w.newest()
		for now := from; now < from+steps; now, _ = w.newest() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if _, at := w.newest(); time.Since(at) > time.Minute {
				return errors.New("no step within a minute")
			}
			time.Sleep(lookEvery)
		}
		return nil
	}
	const steps = 20
	if err := further(steps); err != nil {
		return nil, err
	}
	for _, again := range []string{"r3", "w2", "nats"} {
		if err := errors.Join(c.Kill(again), c.Restart(again), further(steps)); err != nil {
			return nil, err
		}
	}
	peaks = map[string]float64{}
	for _, name := range append(append(c.Replicas(), c.Workers()...), "nats") {
		pid, err := c.Pid(name)
		if err != nil {
			return nil, err
		}
		if peaks[name], err = peakOf(pid); err != nil {
			return nil, err
		}
	}
	return peaks, nil
}

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s*(\d+) kB$`)

// peakOf is the most that a process has held in memory, in MiB.
func peakOf(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := peakLine.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("process %d tells no peak", pid)
	}
	kib, err := strconv.ParseFloat(string(m[1]), 64)
	return kib / 1024, err
}

func (s settings) memoryTable(origins *report.Table) (string, error) {
	var f memoryFile
	found, err := report.ReadRaw(s.path("memory"), &f)
	if err != nil {
		return "", err
	}
	if found {
		origins.From("memory", f.Origin, nil)
	}
	t := &report.Table{Head: []string{"model", "batch", "replica, MiB", "replica, MiB", "replica started again, MiB", "worker, MiB", "worker started again, MiB", "NATS, MiB"}}
	for _, l := range f.Lines {
		row := []string{l.Model, fmt.Sprint(l.Batch)}
		for _, name := range []string{"r1", "r2", "r3", "w1", "w2", "nats"} {
			row = append(row, fmt.Sprintf("%.0f", l.MiB[name]))
		}
		t.Add(row...)
	}
	return t.String(), nil
}
