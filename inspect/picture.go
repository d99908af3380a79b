package inspect

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"gorgonia.org/tensor"

	"convoy/data"
)

// Picture is a user's picture brought to a network's input.
type Picture struct {
	Path          string
	Height, Width int           // of the file
	Input         *tensor.Dense // float32 [C][H][W], as the network takes it
	// Light tells that the border is lighter than grey, where the network takes
	// grey images: digits as MNIST has them are light on a dark ground.
	Light bool
}

// values are the input's.
func (p *Picture) values() []float32 { return p.Input.Data().([]float32) }

// Picture reads a PNG or JPEG file for the network, by data.DecodeImage:
//
//   - a network of one channel sees colours as Y' of ITU-R BT.601 in whole numbers,
//     (19595 R + 38470 G + 7471 B + 2¹⁵) ÷ 2¹⁶ rounded down, as Pillow does; one of
//     three channels sees a grey file three times;
//   - another size is resized by data.Resize to that of the examples;
//   - with invert every value v becomes 255 − v;
//   - then it goes the way of the examples that are evaluated.
func (t *Trained) Picture(path string, invert bool) (*Picture, error) {
	d := t.Recipe.Data
	if d.Channels != 1 && d.Channels != 3 {
		return nil, fmt.Errorf("picture %s: the network takes images of %d channels: pictures have 1 or 3", path, d.Channels)
	}
	file, err := readPicture(path)
	if err != nil {
		return nil, fmt.Errorf("picture %s: %w", path, err)
	}
	pixels, channels, height, width, err := data.DecodeImage(file)
	if err != nil {
		return nil, fmt.Errorf("picture %s: %w: name a PNG or JPEG file that is whole", path, err)
	}
	pixels = inChannels(pixels, channels, d.Channels)
	if height != d.Height || width != d.Width {
		pixels = data.Resize(pixels, d.Channels, height, width, d.Height, d.Width)
	}
	if invert {
		for i := range pixels {
			pixels[i] = 255 - pixels[i]
		}
	}
	p := &Picture{Path: path, Height: height, Width: width, Light: d.Channels == 1 && lightBorder(pixels, d.Height, d.Width)}
	inputs, err := t.preparation()
	if err != nil {
		return nil, fmt.Errorf("picture %s: %w", path, err)
	}
	in := t.Net.Input()
	values := make([]float32, in.Len())
	inputs.Image(pixels, values)
	p.Input = tensor.New(tensor.WithShape(in.C, in.H, in.W), tensor.WithBacking(values))
	return p, nil
}

// maxFile bounds a picture's file in bytes.
const maxFile = 256 << 20

// readPicture reads a file that may be a picture.
func readPicture(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, errors.Unwrap(err) // the path is named already
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("no file of at most %d bytes: name a PNG or JPEG file", maxFile)
	}
	return os.ReadFile(path)
}

// inChannels turns RGB into grey, or grey into RGB, where that is wanted.
func inChannels(pixels []byte, channels, wanted int) []byte {
	if channels == wanted {
		return pixels
	}
	if wanted == 3 {
		return slices.Concat(pixels, pixels, pixels)
	}
	n := len(pixels) / 3
	grey := make([]byte, n)
	for i := range grey {
		r, g, b := uint32(pixels[i]), uint32(pixels[n+i]), uint32(pixels[2*n+i])
		grey[i] = byte((19595*r + 38470*g + 7471*b + 1<<15) >> 16)
	}
	return grey
}

// lightBorder reports whether the mean of the outermost pixels of a grey image is
// above the middle of the range.
func lightBorder(pixels []byte, height, width int) bool {
	sum, n := 0, 0
	for i, v := range pixels {
		if y, x := i/width, i%width; y == 0 || x == 0 || y == height-1 || x == width-1 {
			sum += int(v)
			n++
		}
	}
	return sum > 128*n
}

// TrainedOnDark reports whether the network was trained on grey images that are
// dark for the most part, as MNIST's are; false where that is not known.
func (t *Trained) TrainedOnDark() bool {
	if t.manifest == nil || t.Recipe.Data.Channels != 1 {
		return false
	}
	mean, _ := t.manifest.Moments()
	return mean[0] < 0.5
}
