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

func pauseCommand(r *remote) *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:   "pause JOB",
		Short: "Have a job rest where it is",
		Long: `Has a job rest at the step it is at, and returns once it does: all its steps are
committed, and a majority of the coordinators has a checkpoint of the last one.
The next job in the queue runs meanwhile. A job that is paused already is left as
it is.`,
		Example: "  coordinator job pause lenet-relu-k3v9qa",
		Args:    one("the id that submit printed (see `coordinator job list`)"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.with(func(cl *client.Client) error {
				s, err := cl.Pause(c.Context(), args[0])
				if err == nil && s.GetPhase() == api.Phase_PHASE_PAUSING {
					s, err = rest(c.Context(), cl, args[0])
				}
				if errors.Is(err, context.Canceled) {
					return cli.Interruptedf("interrupted: the job may be pausing all the same; see `coordinator job status %s`", args[0])
				}
				return showPhase(c.OutOrStdout(), o, s, err)
			})
		},
	}
	o.flag(c)
	return c
}

// rest waits until a job is pausing no longer, and returns its status then.
func rest(ctx context.Context, cl *client.Client, job string) (*api.JobStatus, error) {
	var last *api.JobStatus
	rests := errors.New("it rests")
	err := cl.Watch(ctx, job, func(s *api.JobStatus) error {
		last = s
		if s.GetPhase() != api.Phase_PHASE_PAUSING {
			return rests
		}
		return nil
	})
	if errors.Is(err, rests) {
		err = nil
	}
	return last, err
}

func resumeCommand(r *remote) *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:   "resume JOB",
		Short: "Let a paused job go on",
		Long: `Lets a paused job go on from the step at which it rests. It waits for its turn
like any other: while a job runs, and behind those in the queue that were
submitted before it. A job that is not paused is left as it is.`,
		Example: "  coordinator job resume lenet-relu-k3v9qa",
		Args:    one("the id that submit printed (see `coordinator job list`)"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.with(func(cl *client.Client) error {
				s, err := cl.Resume(c.Context(), args[0])
				return showPhase(c.OutOrStdout(), o, s, err)
			})
		},
	}
	o.flag(c)
	return c
}

// showPhase answers a command that changed a job's phase.
func showPhase(w io.Writer, o output, s *api.JobStatus, err error) error {
	switch {
	case err != nil:
		return err
	case o == jsonOutput:
		return writeJSON(w, statusOf(s))
	}
	return printPhase(w, s)
}

func printPhase(w io.Writer, s *api.JobStatus) error {
	why := ""
	if s.GetPhase() == api.Phase_PHASE_QUEUED && s.GetReason() != "" {
		why = ", " + s.GetReason()
	}
	_, err := fmt.Fprintf(w, "job %s is %s at step %d of %d%s\n", s.GetJob(), phaseName(s.GetPhase()), s.GetStep(), s.GetSteps(), why)
	return err
}
