package data

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
)

// kind is what has to be the same for all images of a set.
type kind struct{ height, width, channels int }

func (k kind) String() string {
	mode := "RGB"
	if k.channels == 1 {
		mode = "grey"
	}
	return fmt.Sprintf("%d×%d %s", k.height, k.width, mode)
}

// maxDecodedBytes bounds the pixels of a file: a photograph may be larger than an
// example, and is made smaller then.
const maxDecodedBytes = 256 << 20

// DecodeImage reads a PNG or JPEG file that holds grey or RGB pixels of 8 bits
// or fewer. pixels are channels × height × width bytes, channel by channel; a
// grey image has one channel. A palette and fewer bits are turned into 8 bits,
// which is exact; JPEG's YCbCr becomes RGB by image/color's integer formula, so
// that every machine reads the same bytes. What would lose something (16 bits a
// channel, transparency, CMYK) is refused.
func DecodeImage(file []byte) (pixels []byte, channels, height, width int, err error) {
	decode, config := png.Decode, png.DecodeConfig
	switch {
	case bytes.HasPrefix(file, []byte("\x89PNG\r\n\x1a\n")):
	case bytes.HasPrefix(file, []byte("\xff\xd8")):
		decode, config = jpeg.Decode, jpeg.DecodeConfig
	default:
		return nil, 0, 0, 0, errors.New("neither PNG nor JPEG")
	}
	c, err := config(bytes.NewReader(file))
	if err != nil {
		return nil, 0, 0, 0, err
	}
	if c.Height < 1 || c.Width < 1 || c.Height > maxSide || c.Width > maxSide || 3*c.Height*c.Width > maxDecodedBytes {
		return nil, 0, 0, 0, fmt.Errorf("%d×%d pixels: want sides of 1 to %d and at most %d bytes in all", c.Height, c.Width, maxSide, maxDecodedBytes)
	}
	m, err := decode(bytes.NewReader(file))
	if err != nil {
		return nil, 0, 0, 0, err
	}
	pixels, channels, err = planes(m)
	return pixels, channels, m.Bounds().Dy(), m.Bounds().Dx(), err
}

// planes returns the pixels of m channel by channel.
func planes(m image.Image) (pixels []byte, channels int, err error) {
	at := m.Bounds()
	width, area := at.Dx(), at.Dx()*at.Dy()
	if grey, ok := m.(*image.Gray); ok {
		pixels = make([]byte, 0, area)
		for y := at.Min.Y; y < at.Max.Y; y++ {
			from := grey.PixOffset(at.Min.X, y)
			pixels = append(pixels, grey.Pix[from:from+width]...)
		}
		return pixels, 1, nil
	}
	colour, err := colours(m)
	if err != nil {
		return nil, 0, err
	}
	pixels = make([]byte, 3*area)
	i := 0
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			c := colour(x, y)
			if c.A != 0xff {
				return nil, 0, errors.New("has transparent pixels: flatten it onto a background")
			}
			pixels[i], pixels[area+i], pixels[2*area+i] = c.R, c.G, c.B
			i++
		}
	}
	return pixels, 3, nil
}

// colours returns how to read an image with 8 bits a channel.
func colours(m image.Image) (at func(x, y int) color.NRGBA, err error) {
	switch m := m.(type) {
	case *image.NRGBA:
		return m.NRGBAAt, nil
	case *image.RGBA: // without alpha, or with one of 255
		return func(x, y int) color.NRGBA { return color.NRGBA(m.RGBAAt(x, y)) }, nil
	case *image.YCbCr:
		return func(x, y int) color.NRGBA {
			c := m.YCbCrAt(x, y)
			r, g, b := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
			return color.NRGBA{r, g, b, 0xff}
		}, nil
	case *image.Paletted:
		table := make([]color.NRGBA, len(m.Palette))
		for i, c := range m.Palette {
			table[i] = color.NRGBAModel.Convert(c).(color.NRGBA)
		}
		return func(x, y int) color.NRGBA { return table[m.ColorIndexAt(x, y)] }, nil
	case *image.Gray16, *image.RGBA64, *image.NRGBA64:
		return nil, errors.New("has 16 bits a channel: convert it to 8")
	case *image.CMYK:
		return nil, errors.New("is CMYK: convert it to RGB")
	}
	return nil, fmt.Errorf("holds pixels as %T: convert it to RGB", m)
}
