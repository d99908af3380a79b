package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"convoy/cmd/internal/cli"
	"convoy/models"
)

func modelsCommand() *cobra.Command {
	return cli.Group("model", "Look at the networks that Convoy trains, and at trained ones",
		`These commands need no cluster. list and summary show the networks as they are
built; a model's name stands in the job file, or behind --model of
`+"`coordinator train`"+`. predict, eval and features look at a trained one: a run's folder
or a checkpoint.`,
		modelListCommand(), modelSummaryCommand(), modelPredictCommand(), modelEvalCommand(), modelFeaturesCommand())
}

func modelListCommand() *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the models",
		Long:    "Lists the models with the number of parameters that they have for ten classes of\nthe images that they were made for.",
		Example: "  coordinator model list",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			list := []summary{}
			rows := [][]string{{"MODEL", "INPUT", "PARAMETERS", "MACS", "ABOUT"}}
			for _, m := range models.All() {
				s, err := summaryOf(m, summaryOptions{input: m.Input, classes: defaultClasses, algorithm: "auto"})
				if err != nil {
					return err
				}
				s.Layers = nil
				list = append(list, s)
				rows = append(rows, []string{m.Name, m.Input.String(), grouped(s.Params), grouped(s.MACs), m.Doc})
			}
			if o == jsonOutput {
				return writeJSON(c.OutOrStdout(), list)
			}
			return table(c.OutOrStdout(), rows)
		},
	}
	o.flag(c)
	return c
}

// defaultClasses is how many a model is shown with.
const defaultClasses = 10

// grouped writes n with commas between groups of three digits, and 0 as nothing.
func grouped(n int) string {
	if n == 0 {
		return ""
	}
	digits := strconv.Itoa(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func mebibytes(n int) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
