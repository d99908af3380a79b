package inspect

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // the formats that are read
	_ "image/png"
	"os"

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

// Limits on a picture from outside.
const (
	maxPictureSide  = 1 << 14
	maxPicturePixel = 1 << 26
)

// Picture reads a PNG or JPEG file for the network:
//
//   - of a grey network's input every value is Y' of ITU-R BT.601 (Go's
//     color.GrayModel: (19595 R + 38470 G + 7471 B + 2¹⁵) ÷ 2²⁴ of 16-bit values),
//     of one with three channels the upper 8 bits of R, G and B; a grey file has
//     three equal ones;
//   - another size is resized by data.Resize;
//   - with invert every value v becomes 255 − v;
//   - then it goes the way of the examples that are evaluated.
//
// A picture that is not wholly opaque is refused: what is behind it would decide.
func (t *Trained) Picture(path string, invert bool) (*Picture, error) {
	img, err := decode(path)
	if err != nil {
		return nil, fmt.Errorf("picture %s: %w", path, err)
	}
	d := t.Recipe.Data
	if d.Channels != 1 && d.Channels != 3 {
		return nil, fmt.Errorf("picture %s: the network takes images of %d channels: pictures have 1 or 3", path, d.Channels)
	}
	b := img.Bounds()
	pixels := pixelsOf(img, d.Channels)
	if b.Dy() != d.Height || b.Dx() != d.Width {
		pixels = data.Resize(pixels, d.Channels, b.Dy(), b.Dx(), d.Height, d.Width)
	}
	if invert {
		for i := range pixels {
			pixels[i] = 255 - pixels[i]
		}
	}
	p := &Picture{Path: path, Height: b.Dy(), Width: b.Dx(), Light: d.Channels == 1 && lightBorder(pixels, d.Height, d.Width)}
	values := make([]float32, len(pixels))
	data.Floats(pixels, values)
	in := t.Net.Input()
	p.Input = tensor.New(tensor.WithShape(in.C, in.H, in.W), tensor.WithBacking(values))
	return p, nil
}

// decode reads a file, whose size is checked before its pixels are.
func decode(path string) (_ image.Image, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // the path is named already
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return nil, errors.Join(err, errors.New("it is a folder: name a PNG or JPEG file"))
	}
	about, _, err := image.DecodeConfig(f)
	if err != nil {
		return nil, fmt.Errorf("%w: name a PNG or JPEG file that is whole", err)
	}
	if about.Width < 1 || about.Height < 1 || about.Width > maxPictureSide || about.Height > maxPictureSide || about.Width*about.Height > maxPicturePixel {
		return nil, fmt.Errorf("%d×%d pixels: want at most %d a side and %d in all", about.Width, about.Height, maxPictureSide, maxPicturePixel)
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%w: name a PNG or JPEG file that is whole", err)
	}
	if o, ok := img.(interface{ Opaque() bool }); ok && !o.Opaque() {
		return nil, errors.New("it has transparent pixels: put it on a background first")
	}
	return img, nil
}

// pixelsOf returns an image as [C][H][W] bytes.
func pixelsOf(img image.Image, channels int) []byte {
	b := img.Bounds()
	n := b.Dx() * b.Dy()
	pixels := make([]byte, channels*n)
	for i := range n {
		c := img.At(b.Min.X+i%b.Dx(), b.Min.Y+i/b.Dx())
		if channels == 1 {
			pixels[i] = color.GrayModel.Convert(c).(color.Gray).Y
			continue
		}
		red, green, blue, _ := c.RGBA()
		pixels[i], pixels[n+i], pixels[2*n+i] = byte(red>>8), byte(green>>8), byte(blue>>8)
	}
	return pixels
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
