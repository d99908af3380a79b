package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"convoy/client"
	"convoy/cmd/internal/cli"
	"convoy/inspect"
	"convoy/verify"
)

func diffCommand(r *remote) *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Find where two runs part, and why",
		Long: `Compares two runs, each a cluster's job, a run's folder or a ledger's file: their
recipes key by key, the data set's manifest and the arithmetic version among them,
and then the record of each step. It names the first step at which they part and what
differs there. Who computed a step, and when, makes no difference. Exit code 0 means
that nothing differs, 1 that something does.`,
		Example: `  coordinator job diff runs/lenet-relu-1 runs/lenet-relu-2
  coordinator job diff runs/lenet-relu-1 lenet-relu-k3v9qa --addr 10.0.0.5:7070 -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("%d arguments: want two, ids of jobs (see `coordinator job list`) or folders of runs", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return r.side(c, args[0], func(a verify.Side) error {
				return r.side(c, args[1], func(b verify.Side) error {
					return diff(c, o, args, a, b)
				})
			})
		},
	}
	o.flag(c)
	return c
}

// side calls do with a run's folder or a cluster's job as a side of a comparison.
func (r *remote) side(c *cobra.Command, name string, do func(verify.Side) error) error {
	if onDisk(name) {
		rec, err := inspect.OpenRecord(name)
		if err != nil {
			return cli.Usage(err)
		}
		recipe, err := rec.Recipe()
		if err != nil {
			return cli.Usage(err)
		}
		if len(recipe) == 0 {
			note(c, name+" has neither a checkpoint nor the job file: its recipe is not compared")
		}
		return do(verify.Side{Recipe: recipe, Rows: rec.Rows()})
	}
	return r.with(func(cl *client.Client) error {
		s, err := cl.Status(c.Context(), name)
		if err != nil {
			return err
		}
		return do(verify.Side{Recipe: []byte(s.GetRecipe()), Rows: cl.Rows(c.Context(), name, 0)})
	})
}

func diff(c *cobra.Command, o output, names []string, a, b verify.Side) error {
	found, err := verify.Diff(a, b)
	if err != nil {
		return err
	}
	p := partingOf(names, found)
	if o == jsonOutput {
		err = writeJSON(c.OutOrStdout(), p)
	} else {
		err = p.print(c.OutOrStdout())
	}
	if err == nil && !p.Equal {
		err = fmt.Errorf("%s and %s differ", p.A, p.B)
	}
	return err
}

// partingJSON is what -o json prints.
type partingJSON struct {
	A            string     `json:"a"`
	B            string     `json:"b"`
	Equal        bool       `json:"equal"` // in all that both have
	StepsA       int        `json:"steps_a"`
	StepsB       int        `json:"steps_b"`
	RecipesKnown bool       `json:"recipes_known"`
	Recipe       []pairJSON `json:"recipe"` // keys that differ, values as JSON
	First        *stepJSON  `json:"first_difference"`
}

type stepJSON struct {
	Step int `json:"step"`
	pairJSON
	Others []pairJSON `json:"others,omitempty"` // fields of the step that differ too
}

// pairJSON is a recipe's key or a step's field in both runs.
type pairJSON struct {
	Field string `json:"field"`
	A     string `json:"a"`
	B     string `json:"b"`
}

func partingOf(names []string, c verify.Comparison) partingJSON {
	p := partingJSON{
		A: names[0], B: names[1], Equal: c.Equal(), StepsA: c.StepsA, StepsB: c.StepsB,
		RecipesKnown: c.RecipesKnown, Recipe: []pairJSON{},
	}
	for _, k := range c.Recipe {
		p.Recipe = append(p.Recipe, pairJSON{k.Key, k.A, k.B})
	}
	if d := c.First; d != nil {
		p.First = &stepJSON{Step: d.Step, pairJSON: pairJSON{d.Name, d.A, d.B}}
		for _, f := range d.Others {
			p.First.Others = append(p.First.Others, pairJSON{f.Name, f.A, f.B})
		}
	}
	return p
}

func (p partingJSON) print(w io.Writer) error {
	common := min(p.StepsA, p.StepsB)
	if p.Equal {
		text := fmt.Sprintf("the same result for all %d steps", common)
		if p.StepsA != p.StepsB {
			text += fmt.Sprintf(" that both have: %s has %d, %s %d", p.A, p.StepsA, p.B, p.StepsB)
		}
		_, err := fmt.Fprintln(w, text)
		return err
	}
	var err error
	say := func(text string) {
		_, failed := fmt.Fprintln(w, text)
		err = errors.Join(err, failed)
	}
	show := func(what string, pairs []pairJSON) {
		rows := [][]string{{what, p.A, p.B}}
		for _, f := range pairs {
			rows = append(rows, []string{f.Field, f.A, f.B})
		}
		err = errors.Join(err, table(w, rows))
	}
	if len(p.Recipe) > 0 {
		say("the recipes differ\n")
		show("KEY", p.Recipe)
		say("")
	}
	if p.First == nil {
		say(fmt.Sprintf("none of the %d steps that both have differs", common))
		return err
	}
	say(fmt.Sprintf("the runs part at step %d\n", p.First.Step))
	show("FIELD", append([]pairJSON{p.First.pairJSON}, p.First.Others...))
	if p.RecipesKnown && len(p.Recipe) == 0 {
		say(fmt.Sprintf("\none recipe gives one result: a machine computed wrongly, or a record was altered\n`coordinator job verify %s` and `coordinator job verify %s` tell which", p.A, p.B))
	}
	return err
}
