package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"convoy/inspect"
	"convoy/kernels"
)

// predicted is how many classes are shown for a picture.
const predicted = 5

func modelPredictCommand() *cobra.Command {
	var o output
	var d dataChoice
	var invert bool
	c := &cobra.Command{
		Use:   "predict RUN IMAGE...",
		Short: "Say what a trained network sees in pictures",
		Long: `Shows the five most probable classes of each picture, PNG or JPEG. RUN is the
folder of a run, or a checkpoint's .safetensors file. A picture is made grey or
RGB as the network wants it and brought to the size of the examples that it was
trained on. Digits as MNIST has them are light on a dark ground: --invert turns
light and dark around. The classes have the names of the data set; a checkpoint
outside of its run has none, unless --data names the set.`,
		Example: `  coordinator model predict runs/lenet-relu-1 seven.png
  coordinator model predict runs/lenet-relu-1 --invert scan.jpg photo.png -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return fmt.Errorf("%d arguments: want a run's folder or a checkpoint, and the pictures", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			t, _, err := openRun(args[0], d)
			if err != nil {
				return err
			}
			pictures, err := openPictures(c, t, args[1:], invert)
			if err != nil {
				return err
			}
			return withPool(0, func(pool *kernels.Pool) error {
				return printPredictions(c.OutOrStdout(), o, pictures, t.Predict(pool, pictures, predicted))
			})
		},
	}
	d.flags(c, "the run's own")
	c.Flags().BoolVar(&invert, "invert", false, "turn light and dark around")
	o.flag(c)
	return c
}

// predictionJSON is one picture of `model predict -o json`.
type predictionJSON struct {
	Image       string      `json:"image"`
	Height      int         `json:"height"` // of the file, in pixels
	Width       int         `json:"width"`
	Predictions []classJSON `json:"predictions"` // the most probable first
}

type classJSON struct {
	Class       int     `json:"class"`
	Name        string  `json:"name"`
	Probability float64 `json:"probability"`
}

func printPredictions(w io.Writer, o output, pictures []*inspect.Picture, all [][]inspect.Prediction) error {
	list := make([]predictionJSON, len(pictures))
	for i, p := range pictures {
		list[i] = predictionJSON{Image: p.Path, Height: p.Height, Width: p.Width}
		for _, c := range all[i] {
			list[i].Predictions = append(list[i].Predictions, classJSON{c.Class, c.Name, c.Probability})
		}
	}
	if o == jsonOutput {
		return writeJSON(w, list)
	}
	for _, p := range list {
		if _, err := fmt.Fprintf(w, "%s, %d×%d\n", p.Image, p.Width, p.Height); err != nil {
			return err
		}
		for _, c := range p.Predictions {
			if _, err := fmt.Fprintf(w, "  %6.2f %%  %s\n", 100*c.Probability, c.Name); err != nil {
				return err
			}
		}
	}
	return nil
}
