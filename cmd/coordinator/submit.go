package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"convoy/api"
	"convoy/client"
	"convoy/job"
)

func submitCommand(r *remote) *cobra.Command {
	var o output
	var sets []string
	var dryRun, watching bool
	c := &cobra.Command{
		Use:   "submit FILE",
		Short: "Hand in a job",
		Long: `Reads a job file, checks all of it, sends the cluster what it lacks of the data
set, hands the job in and prints the job's id. Data that is not built in is read
on this machine, from the folder data.dir.`,
		Example: `  coordinator job submit examples/lenet.yaml --watch
  coordinator job submit examples/lenet.yaml --set optimizer.lr=0.05 --set seed=7
  coordinator job submit examples/lenet.yaml --dry-run`,
		Args: one("a job file such as examples/lenet.yaml"),
		RunE: func(c *cobra.Command, args []string) error {
			file, err := readJobFile(args[0], sets)
			if err != nil {
				return err
			}
			job, err := resolve(file)
			if err != nil {
				return err
			}
			if dryRun {
				return printDryRun(c.OutOrStdout(), o, job)
			}
			return r.with(func(cl *client.Client) error { return submit(c, cl, job, o, watching) })
		},
	}
	c.Flags().StringArrayVar(&sets, "set", nil, "override a key of the job file, KEY=VALUE; may be given several times")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print the resolved job file and its recipe, and hand nothing in")
	c.Flags().BoolVar(&watching, "watch", false, "follow the job until it ends")
	o.flag(c)
	return c
}

func submit(c *cobra.Command, cl *client.Client, in resolved, o output, watching bool) error {
	s, err := cl.Submit(c.Context(), client.Submission{
		RequestID: strings.ToLower(rand.Text()), File: in.file.YAML(), Data: in.upload(),
	})
	if err != nil {
		return err
	}
	if fleet, err := cl.Cluster(c.Context()); err == nil { // the job is in all the same
		for _, warning := range unsuited(in.file, fleet) {
			if _, err := fmt.Fprintln(c.ErrOrStderr(), "warning:", warning); err != nil {
				return err
			}
		}
	}
	if watching {
		if _, err := fmt.Fprintf(c.ErrOrStderr(), "job %s\n", s.GetJob()); err != nil {
			return err
		}
		return watch(c, cl, s.GetJob(), o)
	}
	if o == jsonOutput {
		return writeJSON(c.OutOrStdout(), statusOf(s))
	}
	if _, err := fmt.Fprintln(c.OutOrStdout(), s.GetJob()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.ErrOrStderr(), "follow it with `coordinator job watch %s`\n", s.GetJob())
	return err
}

// unsuited says what is legal but wasteful about a job on the workers that are
// there now; others may come.
func unsuited(file job.File, s *api.ClusterStatus) []string {
	n := len(s.GetWorkers())
	if file.Workers.Max > 0 {
		n = min(n, file.Workers.Max)
	}
	return file.Warnings(n)
}

type dryRunJSON struct {
	JobFile    string          `json:"job_file"`
	Recipe     json.RawMessage `json:"recipe"`
	RecipeHash string          `json:"recipe_hash"`
}

// printDryRun prints what would be handed in. The text form is itself a job
// file: the recipe stands in comments.
func printDryRun(w io.Writer, o output, job resolved) error {
	recipe := job.recipe.Canonical()
	if o == jsonOutput {
		return writeJSON(w, dryRunJSON{string(job.file.YAML()), recipe, job.recipe.Hash().String()})
	}
	pretty, err := json.MarshalIndent(json.RawMessage(recipe), "# ", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n# recipe %s\n# %s\n", job.file.YAML(), job.recipe.Hash(), pretty)
	return err
}
