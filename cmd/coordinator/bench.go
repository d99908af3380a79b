package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/spf13/cobra"

	"convoy/bench"
	"convoy/cmd/internal/cli"
)

func benchCommand() *cobra.Command {
	return cli.Group("bench", "Measure how fast this machine trains",
		`These commands measure on random data, without a cluster: a worker's whole
training step, and each layer's kernels beside what the processor can do at most.
docs/benchmarks.md has the figures of the reference machine beside PyTorch's.`,
		benchStepCommand(), benchKernelsCommand(), benchScalingCommand())
}

func benchStepCommand() *cobra.Command {
	var run benchRun
	var o bench.StepOptions
	var profile string
	c := &cobra.Command{
		Use:   "step",
		Short: "Measure a worker's whole training step",
		Long: `Measures a worker's training step without the network: forward and backward in
micro-batches, their sum, the digest of the gradient, the update and the digest
of the state where it is due. Images and labels are random; the figure is the
median of five measurements.`,
		Example: `  coordinator bench step --model lenet-relu
  coordinator bench step --model lenet --batch 256 --threads 2 --seconds 10 -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Direct, o.Threads, o.Time = run.algorithm.direct(), run.threads, run.time()
			if !c.Flags().Changed("batch") {
				o.Batch = bench.DefaultBatch(o.Model)
			}
			if err := o.Check(); err != nil {
				return cli.Usage(err)
			}
			stop, err := startProfile(profile)
			if err != nil {
				return err
			}
			r, err := bench.Step(c.Context(), o)
			if err = errors.Join(err, stop()); err != nil {
				return err
			}
			if run.output == jsonOutput {
				return json.NewEncoder(c.OutOrStdout()).Encode(r) // one line
			}
			return printStep(c.OutOrStdout(), r)
		},
	}
	c.Flags().StringVar(&o.Model, "model", "lenet-relu", "network to measure")
	c.Flags().IntVar(&o.Batch, "batch", 0, "examples of a step (default that of docs/benchmarks.md: 256, 32 or 8)")
	c.Flags().IntVar(&o.MicroBatches, "micro-batches", 8, "slices of the batch, a power of two")
	c.Flags().StringVar(&profile, "cpu-profile", "", "write a profile to this file, for go tool pprof")
	run.flags(c, 5)
	return c
}

// startProfile begins a profile of the processor's time, unless path is empty.
func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, cli.Usagef("--cpu-profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

func benchKernelsCommand() *cobra.Command {
	var run benchRun
	var o bench.KernelOptions
	c := &cobra.Command{
		Use:   "kernels",
		Short: "Measure each layer in its three directions",
		Long: `Measures each convolution and fully connected layer of the models: forward and
both gradients. Layers of one geometry are measured once, under the name of the
first; the networks' forward passes follow. GFLOP/s are those of the direct
algorithm over the time, so that Winograd's may exceed the peak, which is measured
first: independent multiply-adds on registers alone. Layers that run in the lanes
are one row, with both gradients under WEIGHTS.`,
		Example: `  coordinator bench kernels --model alexnet
  coordinator bench kernels --threads 1 --algorithm direct
  coordinator bench kernels --model vgg11 -o json | jq '.layers[].forward.percent'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Direct, o.Threads, o.Time = run.algorithm.direct(), run.threads, run.time()
			if err := o.Check(); err != nil {
				return cli.Usage(err)
			}
			if run.output == jsonOutput {
				var k kernelsJSON
				if err := bench.Kernels(c.Context(), o, &k); err != nil {
					return err
				}
				return json.NewEncoder(c.OutOrStdout()).Encode(k.KernelsResult) // one line
			}
			return bench.Kernels(c.Context(), o, kernelsTable{c.OutOrStdout()})
		},
	}
	c.Flags().StringVar(&o.Model, "model", "", "network whose layers are measured (default all)")
	c.Flags().IntVar(&o.Batch, "batch", 0, "examples (default each model's of docs/benchmarks.md: 256, 32 or 8)")
	run.flags(c, 0.25)
	return c
}

// kernelsJSON keeps what is measured, to print it as one line in the end.
type kernelsJSON struct{ bench.KernelsResult }

func (k *kernelsJSON) Peak(p bench.Peak) error {
	k.KernelsResult.Peak = p
	return nil
}

func (k *kernelsJSON) Layer(l bench.LayerResult) error {
	k.Layers = append(k.Layers, l)
	return nil
}

func (k *kernelsJSON) Network(n bench.NetworkResult) error {
	k.Networks = append(k.Networks, n)
	return nil
}

// kernelsTable prints what is measured row by row, since all of it takes a while:
// the widths of the columns are fixed.
type kernelsTable struct{ w io.Writer }

func (k kernelsTable) row(name string, batch any, shape, algorithm, pack string, directions ...[3]string) error {
	text := fmt.Sprintf("%-24s %5v  %-31s %-20s %8s", name, batch, shape, algorithm, pack)
	for _, d := range directions {
		text += fmt.Sprintf("  %9s %8s %5s", d[0], d[1], d[2])
	}
	_, err := fmt.Fprintln(k.w, text)
	return err
}

func (k kernelsTable) Peak(p bench.Peak) error {
	clock := ""
	if p.GHz > 0 {
		clock = fmt.Sprintf(" at %.2f GHz", p.GHz)
	}
	_, err := fmt.Fprintf(k.w, "peak of %s, %d threads: %.1f GFLOP/s%s\n\n", p.Implementation, p.Threads, p.GFLOPS, clock)
	return errors.Join(err, k.row("LAYER", "BATCH", "SHAPE", "ALGORITHM", "PACK ms",
		[3]string{"FORWARD", "GFLOP/s", "%"}, [3]string{"DATA", "GFLOP/s", "%"}, [3]string{"WEIGHTS", "GFLOP/s", "%"}))
}

func (k kernelsTable) Layer(l bench.LayerResult) error {
	return k.row(l.Model+" "+l.Name, l.Batch, l.Shape(), l.Algorithm, fmt.Sprintf("%.3f", l.PackMS),
		rateCells(l.Forward), rateCells(l.BackwardData), rateCells(l.BackwardWeights))
}

func (k kernelsTable) Network(n bench.NetworkResult) error {
	return k.row(n.Model, n.Batch, "the whole network", "-", "-", rateCells(n.Forward))
}

func rateCells(r bench.Rate) [3]string {
	if r.MS == 0 {
		return [3]string{"-", "-", "-"}
	}
	return [3]string{fmt.Sprintf("%.3f ms", r.MS), fmt.Sprintf("%.1f", r.GFLOPS), fmt.Sprintf("%.0f", r.Percent)}
}

// benchRun are the flags that all measurements have.
type benchRun struct {
	threads   int
	seconds   float64
	algorithm algorithm
	output    output
}

func (r *benchRun) flags(c *cobra.Command, seconds float64) {
	c.Flags().IntVar(&r.threads, "threads", runtime.GOMAXPROCS(0), "goroutines that compute")
	c.Flags().Float64Var(&r.seconds, "seconds", seconds, "time of each figure, which is the median of five measurements")
	r.algorithm = "auto"
	c.Flags().Var(&r.algorithm, "algorithm", "of convolutions: auto, or direct for no other")
	r.output.flag(c)
}

// time is what --seconds says; what is out of range stays so.
func (r *benchRun) time() time.Duration {
	return time.Duration(min(max(r.seconds, -1), 1e6) * float64(time.Second))
}

// algorithm is the --algorithm flag.
type algorithm string

func (a *algorithm) String() string { return string(*a) }
func (a *algorithm) Type() string   { return "name" }
func (a *algorithm) Set(s string) error {
	if s != "auto" && s != "direct" {
		return errors.New("want auto or direct")
	}
	*a = algorithm(s)
	return nil
}
func (a *algorithm) direct() bool { return *a == "direct" }

func printStep(w io.Writer, r bench.StepResult) error {
	return table(w, [][]string{
		{"model", r.Model},
		{"batch", fmt.Sprintf("%d in %d micro-batches", r.Batch, r.MicroBatches)},
		{"threads", fmt.Sprint(r.Threads)},
		{"kernels", fmt.Sprintf("%s, algorithm %s", r.Implementation, r.Algorithm)},
		{"images/s", fmt.Sprintf("%.4g (%.4g to %.4g)", r.ImagesPerSec, r.Min, r.Max)},
		{"ms a step", fmt.Sprintf("%.4g", r.MS)},
		{"GFLOP/s", fmt.Sprintf("%.4g", r.GFLOPS)},
		{"loss", fmt.Sprintf("%.4g", r.Loss)},
	})
}
