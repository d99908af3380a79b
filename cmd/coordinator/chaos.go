package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"convoy/chaos"
	"convoy/cmd/internal/cli"
)

// kindUsage says what each flag of `chaos` lets happen.
var kindUsage = map[chaos.Kind]string{
	chaos.KillLeader:  "kill the coordinator that leads",
	chaos.KillWorker:  "kill a worker that computes",
	chaos.KillReplica: "kill a coordinator that does not lead",
	chaos.Pause:       "stop a process for a while, past the leader's lease",
	chaos.RestartNATS: "kill NATS and start it again",
	chaos.Partition:   "cut a process off from others",
	chaos.Duplicate:   "let messages arrive twice and out of order",
	chaos.Corrupt:     "flip bits of messages",
	chaos.KillAll:     "kill all coordinators at once, only if asked for",
}

func chaosCommand() *cobra.Command {
	var o chaos.Options
	var sets []string
	var format output
	var quiet bool
	kinds := map[chaos.Kind]*bool{}
	c := &cobra.Command{
		Use:   "chaos JOB.yaml",
		Short: "Break a cluster of real processes and compare the digest",
		Long: `Starts a cluster of processes on this machine and runs the job on it, then does
it again and breaks the cluster on the way. Passes if the two digests are equal,
the ledger has every step once, and each kind of fault struck three times while
the job ran; the exit code is 0 only then. Without a flag of its own every kind
of fault strikes but --kill-all. The faults' order and steps follow from --seed.`,
		Example: `  coordinator chaos examples/lenet.yaml
  coordinator chaos --kill-leader --kill-worker --seed 7 --workers 2 examples/lenet.yaml
  coordinator chaos -o json examples/lenet.yaml | jq .recovery`,
		Args: one("a job file such as examples/lenet.yaml"),
		RunE: func(c *cobra.Command, args []string) error {
			for _, k := range chaos.All {
				if *kinds[k] {
					o.Kinds = append(o.Kinds, k)
				}
			}
			if err := prepareChaos(&o, args[0], sets); err != nil {
				return err
			}
			if !quiet {
				o.Notify = func(text string) { _, _ = fmt.Fprintln(c.ErrOrStderr(), text) } // without it the run goes on
			}
			r, err := chaos.Run(c.Context(), o)
			if err != nil {
				return err
			}
			if format == jsonOutput {
				err = writeJSON(c.OutOrStdout(), r)
			} else {
				err = printChaos(c.OutOrStdout(), r)
			}
			if err == nil && !r.Passed {
				err = errors.New(strings.Join(r.Problems, "; "))
			}
			return err
		},
	}
	flags := c.Flags()
	for _, k := range chaos.All {
		kinds[k] = flags.Bool(string(k), false, kindUsage[k])
	}
	flags.Uint64Var(&o.Seed, "seed", 1, "what the faults' order, steps and targets follow from")
	flags.IntVar(&o.Times, "times", 3, "how often each kind strikes")
	flags.IntVar(&o.Cluster.Replicas, "replicas", 3, "coordinators")
	flags.IntVar(&o.Cluster.Workers, "workers", 4, "workers")
	flags.IntVar(&o.Cluster.Threads, "threads", 1, "goroutines that each worker computes with")
	flags.StringVar(&o.Cluster.Worker, "worker-bin", "", "the worker's program (default beside this one, else on PATH)")
	flags.StringArrayVar(&sets, "set", nil, "override a key of the job file, KEY=VALUE; may be given several times")
	flags.BoolVar(&quiet, "quiet", false, "tell nothing on the way")
	format.flag(c)
	return c
}

// prepareChaos reads the job and checks what the flags say.
func prepareChaos(o *chaos.Options, path string, sets []string) error {
	if o.Times < 1 || o.Times > 1000 || o.Cluster.Replicas < 1 || o.Cluster.Workers < 1 || o.Cluster.Threads < 1 {
		return cli.Usagef("--times %d --replicas %d --workers %d --threads %d: want 1 or more of each", o.Times, o.Cluster.Replicas, o.Cluster.Workers, o.Cluster.Threads)
	}
	file, err := readJobFile(path, sets)
	if err != nil {
		return err
	}
	job, err := resolve(file)
	if err != nil {
		return err
	}
	o.File, o.Data = job.file.YAML(), job.upload()
	if o.Cluster.Worker != "" {
		if _, err := os.Stat(o.Cluster.Worker); err != nil {
			return cli.Usagef("--worker-bin: %w: build it with `make build`", err)
		}
	}
	return nil
}

func printChaos(w io.Writer, r chaos.Report) error {
	rows := [][]string{{"AT", "STEP", "FAULT", "TARGET", "LONGEST WAIT"}}
	for _, e := range r.Timeline {
		rows = append(rows, []string{fmt.Sprintf("%.1f s", e.AtMS/1000), fmt.Sprint(e.Step), string(e.Kind), e.Target, millis(e.RecoveryMS)})
	}
	kinds := [][]string{{"FAULT", "TIMES", "P50", "P99", "MOST"}}
	for _, k := range chaos.All {
		if q, any := r.Recovery[k]; any {
			kinds = append(kinds, []string{string(k), fmt.Sprint(r.Faults[k]), millis(q.P50MS), millis(q.P99MS), millis(q.MaxMS)})
		}
	}
	for _, t := range [][][]string{rows, kinds} {
		if err := table(w, t); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	verdict := "passed: equal digests, no step lost"
	if !r.Passed {
		verdict = "FAILED: " + strings.Join(r.Problems, "; ")
	}
	last := [][]string{
		{"verdict", verdict},
		{"reference", r.ReferenceDigest},
		{"digest", r.Digest},
		{"steps", fmt.Sprintf("%d, %d lost, %d shared out anew", r.Steps, r.StepsLost, r.Reassigned)},
		{"longest wait", fmt.Sprintf("%s in half of the faults, %s at most in 99 of 100", millis(r.RecoveryP50MS), millis(r.RecoveryP99MS))},
		{"undisturbed", fmt.Sprintf("%.1f ms a step, %.1f s in all", r.StepMS, r.ReferenceSeconds)},
		{"disturbed", fmt.Sprintf("%.1f s in all", r.Seconds)},
	}
	if r.Logs != "" {
		last = append(last, []string{"logs", r.Logs})
	}
	return table(w, last)
}

func millis(ms float64) string { return fmt.Sprintf("%.0f ms", ms) }
