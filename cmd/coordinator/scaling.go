package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"convoy/bench"
	"convoy/cmd/internal/cli"
	"convoy/picture"
	"convoy/scaling"
)

// scalingFlags are the flags of `bench scaling`, as they are typed.
type scalingFlags struct {
	o       scaling.Options
	mode    string
	seconds float64
	plot    string
	output  output
}

func benchScalingCommand() *cobra.Command {
	var f scalingFlags
	c := &cobra.Command{
		Use:   "scaling",
		Short: "Measure clusters of different sizes on this machine",
		Long: `Starts clusters of real processes on loopback, one for each number of workers and
of coordinators, with a NATS server: has each train the same model, and prints
images/s, speed-up, efficiency, the shares of the workers' time, and the digest
that the runs have in common. Workers get cores of their own as long as there are
any. With --simulate-compute workers sleep instead of computing, while all traffic
stays real: that measures the coordination alone, with up to 64 workers.`,
		Example: `  coordinator bench scaling --workers 1,2 --replicas 1,3 --model lenet
  coordinator bench scaling --workers 2 --replicas 3 --model alexnet --batch 32 -o json
  coordinator bench scaling --workers 1,4,16,64 --simulate-compute 50ms --plot coordination.svg`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.StringVar(&f.o.Model, "model", "lenet-relu", "network to train")
	flags.IntVar(&f.o.Batch, "batch", 0, "examples of a step, in weak mode of each worker's (default that of docs/benchmarks.md)")
	flags.IntVar(&f.o.MicroBatches, "micro-batches", 0, "slices of the batch, a power of two (default 8, or more for more workers)")
	flags.StringVar(&f.mode, "mode", string(scaling.Strong), "strong: all workers share one batch; weak: each adds its own")
	flags.IntSliceVar(&f.o.Workers, "workers", []int{1, 2}, "numbers of workers")
	flags.IntSliceVar(&f.o.Replicas, "replicas", []int{1, 3}, "numbers of coordinators")
	flags.IntVar(&f.o.Threads, "threads", 1, "goroutines that compute, of each worker")
	flags.Float64Var(&f.seconds, "seconds", 10, "time of each measurement, after the warm-up")
	flags.StringVar(&f.o.Wire, "wire", "", "gradients on the wire: fp32, the default, or bf16")
	flags.IntVar(&f.o.WireUnit, "wire-unit", 0, "with bf16, micro-batches of the smallest sum on the wire")
	flags.DurationVar(&f.o.Simulate, "simulate-compute", 0, "sleep so long for each worker's part of a step, and compute nothing")
	flags.StringVar(&f.o.Worker, "worker-bin", "", "the program worker (default: beside this one, else on PATH)")
	flags.StringVar(&f.plot, "plot", "", "file to draw the figures into, SVG or PNG")
	f.output.flag(c)
	return c
}

func (f *scalingFlags) run(c *cobra.Command) error {
	f.o.Mode = scaling.Mode(f.mode)
	f.o.Time = time.Duration(min(max(f.seconds, 0), 1e6) * float64(time.Second))
	if !c.Flags().Changed("batch") {
		f.o.Batch = bench.DefaultBatch(f.o.Model)
	}
	if err := f.o.Check(); err != nil {
		return cli.Usage(err)
	}
	var format string
	if f.plot != "" {
		var err error
		if format, err = pictureFormat(f.plot, picture.Formats...); err != nil {
			return err
		}
	}
	for _, w := range f.o.Warnings() {
		if _, err := fmt.Fprintf(c.ErrOrStderr(), "note: %s\n", w); err != nil {
			return err
		}
	}
	r, err := scaling.Run(c.Context(), f.o, func(p scaling.Point) {
		_, _ = fmt.Fprintf(c.ErrOrStderr(), "%d replicas, %d workers: %.4g images/s (%.4g to %.4g)\n", p.Replicas, p.Workers, p.ImagesPerSec, p.Min, p.Max)
	})
	if err != nil {
		return err
	}
	if f.plot != "" {
		content, err := picture.Rates(scalingSeries(r), efficiencySeries(r), format)
		if err != nil {
			return err
		}
		if err := writePicture(f.plot, content); err != nil {
			return err
		}
	}
	if f.output == jsonOutput {
		err = json.NewEncoder(c.OutOrStdout()).Encode(r) // one line
	} else {
		err = printScaling(c.OutOrStdout(), r)
	}
	if r.Mode == scaling.Strong && !r.OneHash {
		err = errors.Join(err, fmt.Errorf("the runs did not give one digest after %d steps: a machine computes wrongly, or the programs are of different releases", r.Points[0].DigestStep))
	}
	return err
}

func printScaling(w io.Writer, r scaling.Result) error {
	var head strings.Builder
	fmt.Fprintf(&head, "%s, %s scaling, %d threads a worker, %d CPUs (%s)", r.Model, r.Mode, r.Threads, r.CPUs, runtime.GOARCH)
	if r.SimulateMS > 0 {
		fmt.Fprintf(&head, "; computing is simulated by sleeping %d ms", r.SimulateMS)
	}
	if _, err := fmt.Fprintf(w, "%s\n\n", &head); err != nil {
		return err
	}
	percent := func(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }
	rows := [][]string{{"REPLICAS", "WORKERS", "BATCH", "IMAGES/S", "LEAST", "MOST", "MS/STEP", "SPEED-UP", "EFFICIENCY", "COMPUTE", "WAIT", "COMMUNICATION", "DIGEST"}}
	for _, p := range r.Points {
		rows = append(rows, []string{
			fmt.Sprint(p.Replicas), fmt.Sprint(p.Workers), fmt.Sprint(p.Batch),
			fmt.Sprintf("%.4g", p.ImagesPerSec), fmt.Sprintf("%.4g", p.Min), fmt.Sprintf("%.4g", p.Max), fmt.Sprintf("%.4g", p.StepMS),
			fmt.Sprintf("%.2f", p.SpeedUp), percent(p.Efficiency), percent(p.Compute), percent(p.Wait), percent(p.Communication),
			p.Digest[:min(12, len(p.Digest))],
		})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	if r.Mode == scaling.Strong && r.OneHash {
		_, err := fmt.Fprintf(w, "\none digest for all of them after %d steps\n", r.Points[0].DigestStep)
		return err
	}
	return nil
}

// scalingSeries are the curves of images/s, one for each number of replicas.
func scalingSeries(r scaling.Result) []picture.Series {
	return seriesOf(r, func(s *picture.Series, p scaling.Point) {
		s.Points = append(s.Points, picture.Point{X: float64(p.Workers), Y: p.ImagesPerSec})
		s.Low, s.High = append(s.Low, p.Min), append(s.High, p.Max)
	})
}

func efficiencySeries(r scaling.Result) []picture.Series {
	return seriesOf(r, func(s *picture.Series, p scaling.Point) {
		s.Points = append(s.Points, picture.Point{X: float64(p.Workers), Y: p.Efficiency})
	})
}

// seriesOf groups the points by replicas, in their order.
func seriesOf(r scaling.Result, add func(*picture.Series, scaling.Point)) []picture.Series {
	var list []picture.Series
	for i, p := range r.Points {
		if i == 0 || p.Replicas != r.Points[i-1].Replicas {
			list = append(list, picture.Series{Name: fmt.Sprintf("%d replicas", p.Replicas)})
		}
		add(&list[len(list)-1], p)
	}
	return list
}
