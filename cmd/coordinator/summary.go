package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"convoy/cmd/internal/cli"
	"convoy/data"
	"convoy/job"
	"convoy/models"
	"convoy/nn"
)

// summaryOptions say what a model is shown for.
type summaryOptions struct {
	input     nn.Shape
	classes   int
	batch     int // 0 without
	auxiliary bool
	algorithm algorithm
}

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
		Use:   "summary MODEL|JOB.yaml",
		Short: "Show a model layer by layer",
		Long: `Shows each layer of a model, or of the network of a job file: the shape of its
output (channels × height × width), its parameters, its multiplications with
additions for one example (MACS), the side of the square of input pixels that one
of its values depends on (FIELD), by how many pixels those squares are apart
(STRIDE), the algorithm that computes it, and the memory of its output for one
example, or --batch of them (ACTIVATIONS). A layer whose algorithm is "fused" is
computed with the one before it and has no memory of its own. With --batch it also
says what memory training on so many examples takes. A job file's network is shown
for the job's data and algorithm.`,
		Example: `  coordinator model summary lenet
  coordinator model summary vgg11/4 --input 3x64x64 --classes 100
  coordinator model summary googlenet --auxiliary
  coordinator model summary examples/network.yaml
  coordinator model summary alexnet --batch 32 -o json`,
		Args: one("a model's name (see `coordinator model list`) or a job file"),
		RunE: func(c *cobra.Command, args []string) error {
			s.input = nn.Shape(input)
			if err := s.check(c.Flags()); err != nil {
				return cli.Usage(err)
			}
			m, err := s.model(args[0], c.Flags())
			if err != nil {
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
	c.Flags().Var(&input, "input", "channels, height and width of an image, as in 3x32x32 (default what the model was made for, or the job's data)")
	c.Flags().IntVar(&s.classes, "classes", defaultClasses, "classes (default of a job file: its data's)")
	c.Flags().IntVar(&s.batch, "batch", 0, "examples to tell the memory for")
	c.Flags().BoolVar(&s.auxiliary, "auxiliary", false, "with the model's auxiliary classifiers")
	c.Flags().Var(&s.algorithm, "algorithm", "of convolutions: auto, or direct for no other")
	o.flag(c)
	return c
}

func (s *summaryOptions) check(flags *pflag.FlagSet) error {
	switch {
	case s.classes < 2 || s.classes > maxClasses:
		return fmt.Errorf("--classes %d: want 2 to %d", s.classes, maxClasses)
	case flags.Changed("batch") && (s.batch < 1 || s.batch > maxBatch):
		return fmt.Errorf("--batch %d: want 1 to %d examples", s.batch, maxBatch)
	}
	return nil
}

// model finds the model that a name or a job file means, and fills in what the
// flags leave open.
func (s *summaryOptions) model(name string, flags *pflag.FlagSet) (models.Model, error) {
	if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" {
		return s.ofJob(name, flags)
	}
	m, err := models.Of(job.Recipe{Model: name, Auxiliary: s.auxiliary})
	if s.input == (nn.Shape{}) {
		s.input = m.Input
	}
	return m, err
}

// ofJob looks at the job's data only where a flag does not say what it is like.
func (s *summaryOptions) ofJob(path string, flags *pflag.FlagSet) (models.Model, error) {
	f, err := readJobFile(path, nil)
	if err != nil {
		return models.Model{}, err
	}
	f.Auxiliary = f.Auxiliary || s.auxiliary
	if !flags.Changed("algorithm") {
		s.algorithm = algorithm(f.Algorithm)
	}
	m, err := models.Of(f.Recipe(job.Data{}))
	if err != nil {
		return m, f.Errorf(f.ModelKey(), "%w", err)
	}
	if s.input != (nn.Shape{}) && flags.Changed("classes") {
		return m, nil
	}
	set, err := data.Open(f.Data.Name, f.Data.Dir)
	if err != nil {
		return m, f.Errorf("data.name", "%w; or give --input and --classes", err)
	}
	recipe := f.Recipe(set.Manifest.ForRecipe())
	if !flags.Changed("classes") {
		s.classes = recipe.Data.Classes
	}
	if s.input == (nn.Shape{}) {
		s.input, err = models.ShapeOf(recipe)
	}
	return m, err
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
	Model       string         `json:"model"`
	Input       [3]int         `json:"input"` // channels, height, width
	Classes     int            `json:"classes"`
	Algorithm   string         `json:"algorithm"` // auto or direct
	Params      int            `json:"params"`    // that are trained
	FixedParams int            `json:"fixed_params"`
	MACs        int            `json:"macs"`
	Layers      []layerSummary `json:"layers,omitempty"`
	Batch       int            `json:"batch,omitempty"`
	Memory      *memorySummary `json:"memory,omitempty"`
}

type layerSummary struct {
	Name           string `json:"name"`
	Type           string `json:"type"`
	Layer          string `json:"layer"`  // with its settings
	Output         [3]int `json:"output"` // channels, height, width
	Params         int    `json:"params"`
	FixedParams    int    `json:"fixed_params"`
	MACs           int    `json:"macs"`
	ReceptiveField int    `json:"receptive_field"`
	Stride         int    `json:"stride"`
	Algorithm      string `json:"algorithm"`   // "" where there is none to speak of
	Activations    int    `json:"activations"` // bytes of the output for one example; 0 where it has none of its own
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

// bytesPerValue is a float32's.
const bytesPerValue = 4

func summaryOf(m models.Model, o summaryOptions) (summary, error) {
	net, err := m.Build(o.classes, o.input, nn.Options{Direct: o.algorithm.direct()})
	if err != nil {
		return summary{}, fmt.Errorf("model %s: %w", m.Name, err)
	}
	s := summary{
		Model: m.Name, Input: dims(o.input), Classes: net.Classes(), Algorithm: o.algorithm.String(),
		Params: net.NumParams(), MACs: net.MACs(), Batch: o.batch,
	}
	for _, l := range net.Layers() {
		activations := bytesPerValue * l.Out.Len()
		if l.Algorithm == "fused" {
			activations = 0
		}
		s.FixedParams += l.Fixed
		s.Layers = append(s.Layers, layerSummary{
			l.Name, l.Type, l.Layer, dims(l.Out), l.Params, l.Fixed, l.MACs, l.ReceptiveField, l.Stride, l.Algorithm, activations,
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
	rows := [][]string{{"LAYER", "TYPE", "OUTPUT", "PARAMETERS", "MACS", "FIELD", "STRIDE", "ALGORITHM", "ACTIVATIONS"}}
	examples, total := max(1, s.Batch), 0
	for _, l := range s.Layers {
		total += l.Activations
		rows = append(rows, []string{
			l.Name, l.Layer, shapeOf(l.Output), parameters(l.Params, l.FixedParams), grouped(l.MACs),
			strconv.Itoa(l.ReceptiveField), strconv.Itoa(l.Stride), l.Algorithm, bytesOf(examples * l.Activations),
		})
	}
	rows = append(rows, []string{"total", "", "", parameters(s.Params, s.FixedParams), grouped(s.MACs), "", "", "", bytesOf(examples * total)})
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

// parameters writes how many are trained, and how many are not where there are
// such.
func parameters(trained, fixed int) string {
	switch {
	case fixed == 0:
		return grouped(trained)
	case trained == 0:
		return grouped(fixed) + " fixed"
	}
	return grouped(trained) + " + " + grouped(fixed) + " fixed"
}

// bytesOf writes a size as people read it, and 0 as nothing.
func bytesOf(n int) string {
	switch {
	case n == 0:
		return ""
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return mebibytes(n)
}
