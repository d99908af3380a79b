package job

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Input says how an image of the data set becomes the network's input. The zero
// value with NormalizeAuto is the model's own way; in training Augment comes
// before it.
type Input struct {
	// Height and Width are what an image is resized to; both 0 leave it as it is.
	Height int `json:"height"`
	Width  int `json:"width"`
	// Pad is the width of a border of pixel value 0 around the resized image.
	Pad       int    `json:"pad"`
	Normalize string `json:"normalize"`
	// Low and High are what the pixel values 0 and 255 become under
	// NormalizeRange; both are 0 under any other.
	Low  float32 `json:"low"`
	High float32 `json:"high"`
}

// The ways of turning a pixel value, 0 to 255, into the network's number.
const (
	NormalizeAuto  = "auto"    // the model's own, NormalizeUnit for most
	NormalizeUnit  = "unit"    // v ÷ 255, as torchvision's ToTensor
	NormalizeSet   = "dataset" // then (x − mean) ÷ deviation of the channel over the training examples, as torchvision's Normalize
	NormalizeRange = "range"   // from Low to High
)

// Augment says how a training example is changed at random, every epoch anew.
// An evaluation sees the examples as they are. Pixels are those of the data
// set's own images, before resizing.
type Augment struct {
	Flip bool `json:"flip"` // left and right are exchanged for half of the examples
	// Crop moves the image by up to so many pixels each way and fills with value
	// 0: torchvision's RandomCrop(size, padding=Crop).
	Crop int `json:"crop"`
	// Shift moves the image likewise, and its edges are repeated.
	Shift int `json:"shift"`
	// Brightness, Contrast and Saturation b choose a factor from max(0, 1−b) to
	// 1+b, as torchvision's ColorJitter does.
	Brightness float32 `json:"brightness"`
	Contrast   float32 `json:"contrast"`
	Saturation float32 `json:"saturation"`
}

// Bounds of an input and of its changes.
const (
	maxInputSide = 1 << 12 // pixels
	maxPad       = 1 << 10 // pixels
	maxJitter    = 4
)

// Resized is the size to which an image of the data set is brought, before the
// border is put around it.
func (i Input) Resized(d Data) (height, width int) {
	if i.Height == 0 {
		return d.Height, d.Width
	}
	return i.Height, i.Width
}

// Size is what the network sees of an image of the data set.
func (i Input) Size(d Data) (height, width int) {
	height, width = i.Resized(d)
	return height + 2*i.Pad, width + 2*i.Pad
}

// fits reports what cannot be done with the images of d, and the key to blame.
func (i Input) fits(d Data) (key string, err error) {
	if h, w := i.Size(d); d.Channels > 0 && w > maxPixels/d.Channels/h {
		return "input.resize", fmt.Errorf("the network's input would be %d×%d×%d: at most %d values", d.Channels, h, w, maxPixels)
	}
	return "", nil
}

// fits reports what cannot be done with the images of d, and the key to blame.
func (a Augment) fits(d Data) (key string, err error) {
	side := min(d.Height, d.Width)
	const hidden = "%s %d would move images of %d×%d out of sight: give less than %d"
	switch {
	case a.Crop >= side:
		return "augment.crop", fmt.Errorf(hidden, "augment.crop", a.Crop, d.Height, d.Width, side)
	case a.Shift >= side:
		return "augment.shift", fmt.Errorf(hidden, "augment.shift", a.Shift, d.Height, d.Width, side)
	case a.Saturation > 0 && d.Channels != 3:
		return "augment.saturation", fmt.Errorf("augment.saturation %v needs the 3 channels of colour images, those of %s have %d: leave it out", a.Saturation, d.Name, d.Channels)
	case a.Contrast > 0 && d.Channels != 1 && d.Channels != 3:
		return "augment.contrast", fmt.Errorf("augment.contrast %v needs images of 1 or 3 channels, those of %s have %d: leave it out", a.Contrast, d.Name, d.Channels)
	}
	return "", nil
}

// Fits reports the first key of f that cannot be meant for the data set d, with
// its position.
func (f File) Fits(d Data) error {
	key, err := f.Input.fits(d)
	if err == nil {
		key, err = f.Augment.fits(d)
	}
	if err != nil {
		return f.Errorf(key, "%w", err)
	}
	return nil
}

// checkInput checks what the keys of input and augment ask of each other, and
// names the one to blame.
func checkInput(i Input, a Augment) (key string, err error) {
	switch ranged := i.Normalize == NormalizeRange; {
	case ranged && i.Low == i.High:
		return "input.normalize", errors.New("input.normalize range needs input.low and input.high, what the pixel values 0 and 255 become: two different numbers")
	case !ranged && i.Low != 0:
		return "input.low", fmt.Errorf("input.low %v is for input.normalize range alone, not %s", i.Low, i.Normalize)
	case !ranged && i.High != 0:
		return "input.high", fmt.Errorf("input.high %v is for input.normalize range alone, not %s", i.High, i.Normalize)
	case a.Crop > 0 && a.Shift > 0:
		return "augment.shift", errors.New("augment.crop and augment.shift both move the image: give one of them")
	}
	return "", nil
}

func checkNormalize(n string) error {
	switch n {
	case NormalizeAuto, NormalizeUnit, NormalizeSet, NormalizeRange:
		return nil
	}
	return fmt.Errorf("input.normalize %q: want %s (the model's own), %s (÷ 255), %s (by its mean and deviation) or %s (input.low to input.high)",
		clip(n), NormalizeAuto, NormalizeUnit, NormalizeSet, NormalizeRange)
}

// setResize reads a side, or height and width as in 96x128.
func setResize(f *File, n ast.Node) error {
	switch n := n.(type) {
	case *ast.IntegerNode:
		side := 0
		if err := setWhole("input.resize", func(*File) *int { return &side })(f, n); err != nil {
			return err
		}
		f.Input.Height, f.Input.Width = side, side
		return nil
	case *ast.StringNode:
		height, width, found := strings.Cut(n.Value, "x")
		h, errH := strconv.Atoi(height)
		w, errW := strconv.Atoi(width)
		if found && errH == nil && errW == nil {
			f.Input.Height, f.Input.Width = h, w
			return nil
		}
	}
	return fmt.Errorf("%s: want a side in pixels such as 224, or height and width such as 96x128", describe("input.resize", n))
}

func checkResize(f *File) error {
	h, w := f.Input.Height, f.Input.Width
	if h == 0 && w == 0 {
		return nil
	}
	if min(h, w) < 1 || max(h, w) > maxInputSide {
		return fmt.Errorf("input.resize %s: want sides of 1 to %d, or 0 for the images as they are", f.Input.resize(), maxInputSide)
	}
	return nil
}

// resize is how input.resize is written.
func (i Input) resize() string {
	if i.Height == i.Width {
		return strconv.Itoa(i.Height)
	}
	return fmt.Sprintf("%dx%d", i.Height, i.Width)
}

// jitterKey is the key of a factor's range.
func jitterKey(path string, field func(*File) *float32) key {
	return floatKey(path, field, func(v float32) bool { return v >= 0 && v <= maxJitter }, fmt.Sprintf("from 0 to %d", maxJitter))
}

// checkImages checks how a recipe, which comes over the wire, treats images.
func (r Recipe) checkImages() error {
	f := File{Input: r.Input, Augment: r.Augment}
	for _, k := range keys {
		if strings.HasPrefix(k.path, "input.") || strings.HasPrefix(k.path, "augment.") {
			if err := k.check(&f); err != nil {
				return err
			}
		}
	}
	if _, err := checkInput(r.Input, r.Augment); err != nil {
		return err
	}
	return f.Fits(r.Data)
}
