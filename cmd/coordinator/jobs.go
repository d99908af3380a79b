package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"convoy/api"
	"convoy/client"
	"convoy/cmd/internal/cli"
)

func jobCommand() *cobra.Command {
	var r remote
	c := cli.Group("job", "Hand in, follow and end jobs of a cluster",
		`These commands talk to a cluster that `+"`coordinator serve`"+` made. Any one of its
coordinators will do: one that does not lead passes the call on.`,
		submitCommand(&r), listCommand(&r), statusCommand(&r), watchCommand(&r), logsCommand(&r),
		pauseCommand(&r), resumeCommand(&r), cancelCommand(&r), modelCommand(&r), historyCommand(&r), ledgerCommand(&r), verifyCommand(&r), diffCommand(&r), plotCommand(&r))
	r.flags(c, client.DefaultTimeout)
	return c
}

func listCommand(r *remote) *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:     "list",
		Short:   "List all jobs",
		Long:    "Lists all jobs of the cluster in order of submission.",
		Example: "  coordinator job list --addr 10.0.0.5:7070",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return r.with(func(cl *client.Client) error {
				jobs, err := cl.List(c.Context())
				if err != nil {
					return err
				}
				if o == jsonOutput {
					return writeJSON(c.OutOrStdout(), statusesOf(jobs))
				}
				return printJobs(c.OutOrStdout(), jobs)
			})
		},
	}
	o.flag(c)
	return c
}

func statusCommand(r *remote) *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:     "status JOB",
		Short:   "Show how a job is",
		Long:    "Shows a job's phase, progress, loss, accuracy and digest, and what it waits for.",
		Example: "  coordinator job status lenet-relu-k3v9qa\n  coordinator job status lenet-relu-k3v9qa -o json | jq .test_accuracy",
		Args:    one("the id that submit printed (see `coordinator job list`)"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.with(func(cl *client.Client) error {
				s, err := cl.Status(c.Context(), args[0])
				if err != nil {
					return err
				}
				return showStatus(c.OutOrStdout(), o, s)
			})
		},
	}
	o.flag(c)
	return c
}

func showStatus(w io.Writer, o output, s *api.JobStatus) error {
	if o == jsonOutput {
		return writeJSON(w, statusOf(s))
	}
	return printStatus(w, s)
}

func watchCommand(r *remote) *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:   "watch JOB",
		Short: "Follow a job until it ends",
		Long: `Shows a job's progress on stderr until it ends and then its status on stdout. It
survives coordinators that stop on the way. Exit code 0 means that the job
finished, 1 that it failed, was cancelled, or is suspect: its machines disagree.`,
		Example: "  coordinator job watch lenet-relu-k3v9qa",
		Args:    one("the id that submit printed (see `coordinator job list`)"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.with(func(cl *client.Client) error {
				return watch(c, cl, args[0], o)
			})
		},
	}
	o.flag(c)
	return c
}

// watch shows a job until it ends, and then its status.
func watch(c *cobra.Command, cl *client.Client, job string, o output) error {
	last, err := follow(c.Context(), cl, job, newProgress(c.ErrOrStderr()))
	if errors.Is(err, context.Canceled) {
		return cli.Interruptedf("interrupted: the job goes on; see `coordinator job watch %s`", job)
	}
	if err != nil {
		return err
	}
	return errors.Join(showStatus(c.OutOrStdout(), o, last), ending(last))
}

// follow feeds p with a job's status until the job ends, and returns the last.
func follow(ctx context.Context, cl *client.Client, job string, p progress) (*api.JobStatus, error) {
	var last *api.JobStatus
	err := cl.Watch(ctx, job, func(s *api.JobStatus) error {
		last = s
		return p.show(s)
	})
	return last, errors.Join(err, p.close())
}

// ending is the error that a job's end is, if it is one.
func ending(s *api.JobStatus) error {
	switch s.GetPhase() {
	case api.Phase_PHASE_FAILED:
		return fmt.Errorf("job %s failed: %s", s.GetJob(), s.GetReason())
	case api.Phase_PHASE_SUSPECT:
		return fmt.Errorf("job %s: %s", s.GetJob(), s.GetReason())
	case api.Phase_PHASE_CANCELLED:
		return fmt.Errorf("job %s was cancelled at step %d of %d", s.GetJob(), s.GetStep(), s.GetSteps())
	}
	return nil
}

func logsCommand(r *remote) *cobra.Command {
	var following bool
	c := &cobra.Command{
		Use:     "logs JOB",
		Short:   "Print a job's events",
		Long:    "Prints what happened to a job, oldest first: who joined, left and led, and why it waited.",
		Example: "  coordinator job logs lenet-relu-k3v9qa --follow",
		Args:    one("the id that submit printed (see `coordinator job list`)"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.with(func(cl *client.Client) error {
				return cl.Logs(c.Context(), args[0], following, func(l *api.LogLine) error {
					return printLogLine(c.OutOrStdout(), l)
				})
			})
		},
	}
	c.Flags().BoolVarP(&following, "follow", "f", false, "go on until the job ends")
	return c
}

func cancelCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:     "cancel JOB",
		Short:   "End a job before its last step",
		Long:    "Ends a job before its last step. What it has trained so far stays: see `coordinator job model`.",
		Example: "  coordinator job cancel lenet-relu-k3v9qa",
		Args:    one("the id that submit printed (see `coordinator job list`)"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.with(func(cl *client.Client) error {
				s, err := cl.Cancel(c.Context(), args[0])
				if err != nil {
					return err
				}
				return printPhase(c.OutOrStdout(), s)
			})
		},
	}
}

func modelCommand(r *remote) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "model JOB",
		Short: "Download a job's newest checkpoint",
		Long: `Writes the newest checkpoint that the cluster has recorded for a job to a
safetensors file, which is checked against its SHA-256 and written whole or not
at all.`,
		Example: "  coordinator job model lenet-relu-k3v9qa --out model.safetensors",
		Args:    one("the id that submit printed (see `coordinator job list`)"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.with(func(cl *client.Client) error {
				s, err := cl.Model(c.Context(), args[0], out)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s: step %d of %d, SHA-256 %s\n", out, s.GetCheckpointStep(), s.GetSteps(), s.GetCheckpointSha256())
				return err
			})
		},
	}
	c.Flags().StringVar(&out, "out", "model.safetensors", "file to write")
	return c
}
