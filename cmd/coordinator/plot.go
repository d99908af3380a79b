package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"convoy/client"
	"convoy/cmd/internal/cli"
	"convoy/inspect"
	"convoy/picture"
)

func plotCommand(r *remote) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "plot RUN|JOB...",
		Short: "Draw the curves of one or several runs",
		Long: `Draws the training loss by step and the test accuracy by epoch, of several runs
in one picture. RUN is the folder of a run, also of one that is under way; JOB is
the id of a cluster's job. The file's ending says what is written: .svg or .png.`,
		Example: `  coordinator job plot runs/lenet-relu-1 -o curves.svg
  coordinator job plot runs/lenet-1 runs/lenet-relu-1 -o both.png
  coordinator job plot lenet-relu-k3v9qa --addr 10.0.0.5:7070 -o job.png`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if out == "" {
				return cli.Usagef("name the file to draw into with -o")
			}
			format, err := pictureFormat(out, picture.Formats...)
			if err != nil {
				return err
			}
			var runs []picture.Run
			for _, name := range args {
				run, err := curvesOf(c, r, name)
				if err != nil {
					return err
				}
				runs = append(runs, run)
			}
			content, err := picture.Curves(runs, format)
			if err != nil {
				return err
			}
			if err := writePicture(out, content); err != nil {
				return err
			}
			return printCurves(c, out, runs)
		},
	}
	c.Flags().StringVarP(&out, "out", "o", "", "file to draw into, SVG or PNG")
	return c
}

// curvesOf reads the curves of a run's folder or, where there is no such folder,
// of a cluster's job.
func curvesOf(c *cobra.Command, r *remote, name string) (run picture.Run, err error) {
	if onDisk(name) {
		rows, err := inspect.Rows(name)
		if err == nil {
			run, err = inspect.Curves(filepath.Base(filepath.Clean(name)), rows)
		}
		return run, cli.Usage(err)
	}
	err = r.with(func(cl *client.Client) (err error) {
		run, err = inspect.Curves(name, cl.Rows(c.Context(), name, 0))
		return err
	})
	return run, err
}

// printCurves says what was drawn.
func printCurves(c *cobra.Command, out string, runs []picture.Run) error {
	rows := [][]string{{"RUN", "STEPS", "LOSS", "EPOCHS", "ACCURACY"}}
	for _, r := range runs {
		last, accuracy := r.Loss[len(r.Loss)-1], ""
		if n := len(r.Accuracy); n > 0 {
			accuracy = percent(r.Accuracy[n-1].Y)
		}
		rows = append(rows, []string{r.Name, fmt.Sprint(len(r.Loss)), fmt.Sprintf("%.4f", last.Y), fmt.Sprint(len(r.Accuracy)), accuracy})
	}
	if err := table(c.OutOrStdout(), rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "drawn into %s\n", out)
	return err
}
