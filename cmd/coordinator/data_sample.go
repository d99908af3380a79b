package main

import (
	"fmt"
	"image"
	"image/color"
	"strconv"

	"github.com/spf13/cobra"

	"convoy/cmd/internal/cli"
	"convoy/data"
	"convoy/job"
	"convoy/picture"
	"convoy/rng"
)

// sampleFlags are the flags of `data sample`.
type sampleFlags struct {
	n          int
	split, out string
	augment    string // job file
	seed       uint64
}

// maxSample bounds the examples of a picture.
const maxSample = 1024

func dataSampleCommand() *cobra.Command {
	var f sampleFlags
	c := &cobra.Command{
		Use:   "sample SET",
		Short: "Draw some examples with their labels",
		Long: `Draws examples that a seed chooses as a grid, each with its class below. SET is
the folder of an imported set, a folder that ` + "`data import`" + ` can read, or digits.`,
		Example: `  coordinator data sample digits -o digits.png
  coordinator data sample sets/cifar10 --split test -n 100 -o test.png
  coordinator data sample sets/cifar10 --augment cifar.yaml -o changed.png`,
		Args: one("a set's folder, or digits"),
		RunE: func(c *cobra.Command, args []string) error {
			if f.n < 1 || f.n > maxSample || (f.split != data.Train && f.split != data.Test) {
				return cli.Usagef("-n %d --split %s: want 1 to %d examples of %s or %s", f.n, f.split, maxSample, data.Train, data.Test)
			}
			if f.out == "" {
				return cli.Usagef("name the file to draw into with -o")
			}
			if _, err := pictureFormat(f.out, "png"); err != nil {
				return err
			}
			set := data.Digits()
			if !data.Builtin(args[0]) {
				var err error
				if set, err = data.OpenFolder(args[0]); err != nil {
					return cli.Usage(err)
				}
			}
			g, err := f.grid(set)
			if err != nil {
				return cli.Usage(err)
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
	c.Flags().IntVarP(&f.n, "number", "n", 64, "examples to draw")
	c.Flags().StringVar(&f.split, "split", data.Train, data.Train+" or "+data.Test)
	c.Flags().Uint64Var(&f.seed, "seed", 1, "seed that chooses them")
	c.Flags().StringVar(&f.augment, "augment", "", "job file whose augmentation the examples are shown with, as its first epoch sees them")
	c.Flags().StringVarP(&f.out, "out", "o", "", "file to draw into, PNG")
	return c
}

// grid is the picture of what the seed chooses.
func (f sampleFlags) grid(set *data.Set) (picture.Grid, error) {
	m, from := set.Manifest, set.Train
	if f.split == data.Test {
		from = set.Test
	}
	if m.Channels != 1 && m.Channels != 3 {
		return picture.Grid{}, fmt.Errorf("data set %q has images of %d channels: only grey and RGB ones can be drawn", m.Name, m.Channels)
	}
	n := min(f.n, from.Len())
	change, err := f.changes(m)
	if err != nil {
		return picture.Grid{}, err
	}
	g := picture.Grid{
		Title: "data set " + m.Name,
		Lines: []string{fmt.Sprintf("%d of %d %s examples, %d×%d×%d, chosen by seed %d", n, from.Len(), f.split, m.Channels, m.Height, m.Width, f.seed)},
	}
	order := rng.NewPermutation(f.seed, 0, from.Len())
	pixels := make([]byte, m.ImageBytes())
	for k := range n {
		class := from.Example(order.At(k), pixels)
		change(order.At(k), pixels)
		label := strconv.Itoa(class)
		if len(m.ClassNames) > 0 {
			label = m.ClassNames[class]
		}
		g.Tiles = append(g.Tiles, picture.Tile{Image: tile(pixels, m), Label: label})
	}
	return g, nil
}

// changes returns what the job file of --augment does to example i in its first
// epoch.
func (f sampleFlags) changes(m data.Manifest) (func(i int, pixels []byte), error) {
	if f.augment == "" {
		return func(int, []byte) {}, nil
	}
	if f.split != data.Train {
		return nil, fmt.Errorf("--augment %s: training examples alone are changed: leave out --split %s", f.augment, f.split)
	}
	file, err := readJobFile(f.augment, nil)
	if err == nil {
		err = file.Fits(m.ForRecipe())
	}
	if err != nil {
		return nil, err
	}
	p, err := data.NewPreparation(m, job.Input{Normalize: job.NormalizeUnit}, file.Augment, file.Seed)
	if err != nil {
		return nil, err
	}
	return func(i int, pixels []byte) { p.Change(0, i, pixels) }, nil
}

// tile is an example as a picture.
func tile(pixels []byte, m data.Manifest) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, m.Width, m.Height))
	area := m.Height * m.Width
	for i := range area {
		at := func(c int) uint8 { return pixels[min(c, m.Channels-1)*area+i] }
		img.SetRGBA(i%m.Width, i/m.Width, color.RGBA{at(0), at(1), at(2), 0xff})
	}
	return img
}
