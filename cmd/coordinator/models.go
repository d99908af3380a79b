package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"convoy/cmd/internal/cli"
	"convoy/job"
	"convoy/models"
	"convoy/nn"
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

// summaryOptions say what a model is shown for.
type summaryOptions struct {
	input     nn.Shape
	classes   int
	batch     int // 0 without
	algorithm algorithm
}

const defaultClasses = 10

// Bounds of what a summary is made for: those of a recipe.
const (
	maxClasses = 1 << 16
	maxValues  = 1 << 26
	maxBatch   = 1 << 20
)

func modelSummaryCommand() *cobra.Command {
	var o output
	var input imageShape
	s := summaryOptions{algorithm: "auto"}
	c := &cobra.Command{
		Use:   "summary MODEL",
		Short: "Show a model layer by layer",
		Long: `Shows each layer of a model: the shape of its output (channels × height × width),
its parameters, its multiplications with additions for one example (MACS), the
side of the square of input pixels that one of its values depends on (FIELD), by
how many pixels those squares are apart (STRIDE), and the algorithm that computes
it. With --batch it also says what memory training on so many examples takes.`,
		Example: `  coordinator model summary lenet
  coordinator model summary vgg11/4 --input 3x64x64 --classes 100
  coordinator model summary alexnet --batch 32 -o json`,
		Args: one("a model's name (see `coordinator model list`)"),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := models.Lookup(args[0])
			if err != nil {
				return cli.Usage(err)
			}
			if s.input = nn.Shape(input); input == (imageShape{}) {
				s.input = m.Input
			}
			if err := s.check(c.Flags().Changed("batch")); err != nil {
				return cli.Usage(err)
			}
			sum, err := summaryOf(m, s)
			if err != nil {
				return cli.Usage(err)
			}
			if o == jsonOutput {
				return writeJSON(c.OutOrStdout(), sum)
			}
			return printSummary(c.OutOrStdout(), sum)
		},
	}
	c.Flags().Var(&input, "input", "channels, height and width of an image, as in 3x32x32 (default what the model was made for)")
	c.Flags().IntVar(&s.classes, "classes", defaultClasses, "classes")
	c.Flags().IntVar(&s.batch, "batch", 0, "examples to tell the memory for")
	c.Flags().Var(&s.algorithm, "algorithm", "of convolutions: auto, or direct for no other")
	o.flag(c)
	return c
}

func (s summaryOptions) check(withBatch bool) error {
	switch {
	case s.classes < 2 || s.classes > maxClasses:
		return fmt.Errorf("--classes %d: want 2 to %d", s.classes, maxClasses)
	case withBatch && (s.batch < 1 || s.batch > maxBatch):
		return fmt.Errorf("--batch %d: want 1 to %d examples", s.batch, maxBatch)
	}
	return nil
}

// imageShape is the --input flag.
type imageShape nn.Shape

func (s *imageShape) Type() string { return "CxHxW" }

func (s *imageShape) String() string {
	if *s == (imageShape{}) {
		return ""
	}
	return strings.ReplaceAll(nn.Shape(*s).String(), "×", "x")
}

func (s *imageShape) Set(text string) error {
	var sizes []int
	values := 1
	for word := range strings.SplitSeq(strings.ReplaceAll(text, "×", "x"), "x") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return fmt.Errorf("want channels, height and width, as in 3x32x32")
		}
		if n > maxValues/values {
			return fmt.Errorf("want at most %d values", maxValues)
		}
		values *= n
		sizes = append(sizes, n)
	}
	if len(sizes) != 3 {
		return fmt.Errorf("want channels, height and width, as in 3x32x32")
	}
	*s = imageShape{C: sizes[0], H: sizes[1], W: sizes[2]}
	return nil
}

// summary is what `model summary -o json` prints.
type summary struct {
	Model     string         `json:"model"`
	Input     [3]int         `json:"input"` // channels, height, width
	Classes   int            `json:"classes"`
	Algorithm string         `json:"algorithm"` // auto or direct
	Params    int            `json:"params"`
	MACs      int            `json:"macs"`
	Layers    []layerSummary `json:"layers,omitempty"`
	Batch     int            `json:"batch,omitempty"`
	Memory    *memorySummary `json:"memory,omitempty"`
}

type layerSummary struct {
	Name           string `json:"name"`
	Type           string `json:"type"`
	Layer          string `json:"layer"`  // with its settings
	Output         [3]int `json:"output"` // channels, height, width
	Params         int    `json:"params"`
	MACs           int    `json:"macs"`
	ReceptiveField int    `json:"receptive_field"`
	Stride         int    `json:"stride"`
	Algorithm      string `json:"algorithm"` // "" where there is none to speak of
}

// memorySummary is in bytes.
type memorySummary struct {
	Parameters          int `json:"parameters"`
	Gradient            int `json:"gradient"`
	Packed              int `json:"packed"`
	Activations         int `json:"activations"`
	ActivationGradients int `json:"activation_gradients"`
	Total               int `json:"total"`
}

func summaryOf(m models.Model, o summaryOptions) (summary, error) {
	net, err := m.Build(o.classes, o.input, nn.Options{Direct: o.algorithm.direct()})
	if err != nil {
		return summary{}, fmt.Errorf("model %s: %w", m.Name, err)
	}
	s := summary{
		Model: m.Name, Input: dims(o.input), Classes: o.classes, Algorithm: o.algorithm.String(),
		Params: net.NumParams(), MACs: net.MACs(), Batch: o.batch,
	}
	for _, l := range net.Layers() {
		s.Layers = append(s.Layers, layerSummary{
			l.Name, l.Type, l.Layer, dims(l.Out), l.Params, l.MACs, l.ReceptiveField, l.Stride, l.Algorithm,
		})
	}
	if o.batch > 0 {
		b := net.Memory(o.batch, job.Default().MicroBatches)
		s.Memory = &memorySummary{b.Parameters, b.Gradient, b.Packed, b.Activations, b.Gradients, b.Total()}
	}
	return s, nil
}

func dims(s nn.Shape) [3]int { return [3]int{s.C, s.H, s.W} }

func shapeOf(d [3]int) string { return nn.Shape{C: d[0], H: d[1], W: d[2]}.String() }

func printSummary(w io.Writer, s summary) error {
	if _, err := fmt.Fprintf(w, "%s for images of %s and %d classes\n\n", s.Model, shapeOf(s.Input), s.Classes); err != nil {
		return err
	}
	rows := [][]string{{"LAYER", "TYPE", "OUTPUT", "PARAMETERS", "MACS", "FIELD", "STRIDE", "ALGORITHM"}}
	for _, l := range s.Layers {
		rows = append(rows, []string{
			l.Name, l.Layer, shapeOf(l.Output), grouped(l.Params), grouped(l.MACs),
			strconv.Itoa(l.ReceptiveField), strconv.Itoa(l.Stride), l.Algorithm,
		})
	}
	rows = append(rows, []string{"total", "", "", grouped(s.Params), grouped(s.MACs), "", "", ""})
	if err := table(w, rows); err != nil || s.Memory == nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\nmemory to train on %d examples in %d micro-batches, without the optimizer's\n\n", s.Batch, job.Default().MicroBatches); err != nil {
		return err
	}
	m := s.Memory
	return table(w, [][]string{
		{"parameters", mebibytes(m.Parameters)},
		{"gradient", mebibytes(m.Gradient)},
		{"packed weights and scratch", mebibytes(m.Packed)},
		{"activations", mebibytes(m.Activations)},
		{"gradients of activations", mebibytes(m.ActivationGradients)},
		{"total", mebibytes(m.Total)},
	})
}

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
