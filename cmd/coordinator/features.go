package main

import (
	"fmt"
	"image"
	"path/filepath"

	"github.com/spf13/cobra"

	"convoy/cmd/internal/cli"
	"convoy/inspect"
	"convoy/kernels"
	"convoy/picture"
)

// featureFlags are those of `model features`.
type featureFlags struct {
	layer, out      string
	filters, invert bool
	data            dataChoice
}

func modelFeaturesCommand() *cobra.Command {
	var f featureFlags
	c := &cobra.Command{
		Use:   "features RUN [IMAGE]",
		Short: "Draw what a layer of a trained network makes of a picture",
		Long: `Draws the feature maps of a layer for a picture, PNG or JPEG, as a grid: a tile
for each channel, each over its own range of values. Layers have the names that
` + "`coordinator model summary`" + ` prints. With --filters it draws the kernels of the
first convolution instead, which needs no picture. RUN is the folder of a run, or
a checkpoint's .safetensors file.`,
		Example: `  coordinator model features runs/lenet-relu-1 seven.png --layer 1 -o maps.png
  coordinator model features runs/lenet-relu-1 --filters -o kernels.png`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(args); err != nil {
				return err
			}
			t, _, err := openRun(args[0], f.data)
			if err != nil {
				return err
			}
			g, err := f.grid(c, t, args[1:])
			if err != nil {
				return err
			}
			img, err := g.Draw()
			if err != nil {
				return cli.Usage(err)
			}
			if err := writePNG(f.out, img); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %s; %s\n", f.out, g.Title, g.Lines[0])
			return err
		},
	}
	c.Flags().StringVar(&f.layer, "layer", "", "layer to draw")
	c.Flags().BoolVar(&f.filters, "filters", false, "draw the kernels of the first convolution")
	c.Flags().BoolVar(&f.invert, "invert", false, "turn light and dark of the picture around")
	f.data.flags(c, "the run's own")
	c.Flags().StringVarP(&f.out, "out", "o", "", "file to draw into, PNG")
	return c
}

// check says what does not go together before anything is read.
func (f featureFlags) check(args []string) error {
	switch {
	case f.out == "":
		return cli.Usagef("name the file to draw into with -o")
	case f.filters && (f.layer != "" || len(args) > 1):
		return cli.Usagef("--filters draws the first convolution's kernels: leave out --layer and the picture")
	case !f.filters && len(args) < 2:
		return cli.Usagef("name a picture, or draw the first convolution's kernels with --filters")
	case !f.filters && f.layer == "":
		return cli.Usagef("name the layer to draw with --layer (see `coordinator model summary`)")
	}
	_, err := pictureFormat(f.out, "png")
	return err
}

// grid is the picture that the flags ask for.
func (f featureFlags) grid(c *cobra.Command, t *inspect.Trained, images []string) (picture.Grid, error) {
	if f.filters {
		g, err := t.Filters()
		return g, cli.Usage(err)
	}
	pictures, err := openPictures(c, t, images, f.invert)
	if err != nil {
		return picture.Grid{}, err
	}
	var g picture.Grid
	err = withPool(0, func(pool *kernels.Pool) (err error) {
		g, err = t.FeatureGrid(pool, pictures[0], f.layer)
		return cli.Usage(err)
	})
	return g, err
}

// writePNG writes a picture whole or not at all.
func writePNG(path string, img image.Image) error {
	content, err := picture.PNG(img)
	if err == nil {
		err = writePicture(path, content)
	}
	return err
}

// writePicture writes an encoded picture whole or not at all.
func writePicture(path string, content []byte) error {
	if err := writeFile(path, content); err != nil {
		return cli.Usagef("picture %s: %w: name a file in a folder that can be written, not %s", path, err, filepath.Dir(path))
	}
	return nil
}
