package main

import (
	"fmt"
	"image"
	"image/color"
	"strconv"

	"github.com/spf13/cobra"

	"convoy/cmd/internal/cli"
	"convoy/data"
	"convoy/picture"
	"convoy/rng"
)

// sampleFlags are the flags of `data sample`.
type sampleFlags struct {
	n          int
	split, out string
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
  coordinator data sample sets/cifar10 --split test -n 100 -o test.png`,
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
	g := picture.Grid{
		Title: "data set " + m.Name,
		Lines: []string{fmt.Sprintf("%d of %d %s examples, %d×%d×%d, chosen by seed %d", n, from.Len(), f.split, m.Channels, m.Height, m.Width, f.seed)},
	}
	order := rng.NewPermutation(f.seed, 0, from.Len())
	pixels := make([]byte, m.ImageBytes())
	for k := range n {
		class := from.Example(order.At(k), pixels)
		label := strconv.Itoa(class)
		if len(m.ClassNames) > 0 {
			label = m.ClassNames[class]
		}
		g.Tiles = append(g.Tiles, picture.Tile{Image: tile(pixels, m), Label: label})
	}
	return g, nil
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
