package data

import (
	"encoding/binary"
	"fmt"
	"sync"

	"convoy/job"
)

// A Preparation turns the examples of a set into the inputs of a network as a
// recipe asks for it: in training an example is changed at random first
// (job.Augment); then it is resized, gets its border, and its bytes become floats
// (job.Input). The random numbers follow from seed, epoch and the example's
// index, so that whoever prepares it makes the same bits.
//
// It serves any number of goroutines and allocates nothing once there is work
// space for as many as use it at a time.
type Preparation struct {
	channels, height, width int // of the set's images
	augment                 augmenter
	resizer                 *Resizer // nil where the size stays
	pad                     int
	toHeight, toWidth       int // border included
	values                  [][256]float32

	lock sync.Mutex
	free []*workspace
}

// workspace is what the preparation of one example needs.
type workspace struct {
	image, other []byte // the image, and what it becomes
	resized      []byte
	words        []uint64
}

// NewPreparation returns the preparation of the set that m describes. in says
// its normalisation outright, not job.NormalizeAuto.
func NewPreparation(m Manifest, in job.Input, a job.Augment, seed uint64) (*Preparation, error) {
	d := m.ForRecipe()
	p := &Preparation{channels: m.Channels, height: m.Height, width: m.Width, pad: in.Pad}
	p.augment = newAugmenter(a, p.channels, p.height, p.width, seed)
	p.toHeight, p.toWidth = in.Size(d)
	if h, w := in.Resized(d); h != m.Height || w != m.Width {
		p.resizer = NewResizer(m.Height, m.Width, h, w)
	}
	var err error
	p.values, err = valuesOf(m, in)
	return p, err
}

// Len is the number of floats of one input: channels × height × width.
func (p *Preparation) Len() int { return p.channels * p.toHeight * p.toWidth }

// Train writes the training examples that indices name as epoch sees them into
// images, Len floats each, channel by channel and row by row, and their labels
// into labels.
func (p *Preparation) Train(s Split, epoch int, indices []int, images []float32, labels []int32) {
	p.fill(s, indices, images, labels, func(w *workspace, i int) { p.augment.apply(w, epoch, i) })
}

// Evaluate is Train for an evaluation: nothing is random.
func (p *Preparation) Evaluate(s Split, indices []int, images []float32, labels []int32) {
	p.fill(s, indices, images, labels, func(*workspace, int) {})
}

func (p *Preparation) fill(s Split, indices []int, images []float32, labels []int32, change func(w *workspace, i int)) {
	size := p.Len()
	if len(labels) != len(indices) || len(images) != size*len(indices) {
		panic(fmt.Sprintf("data: prepare %d examples in %d floats and %d labels: want %d floats each", len(indices), len(images), len(labels), size))
	}
	w := p.take()
	defer p.give(w)
	for k, i := range indices {
		labels[k] = int32(s.Example(i, w.image))
		change(w, i)
		p.floats(w, images[k*size:(k+1)*size])
	}
}

// Image writes one image of the set's size as an evaluation sees it into dst,
// Len floats.
func (p *Preparation) Image(pixels []byte, dst []float32) {
	w := p.take()
	defer p.give(w)
	if len(pixels) != len(w.image) || len(dst) != p.Len() {
		panic(fmt.Sprintf("data: prepare %d bytes in %d floats: want %d and %d", len(pixels), len(dst), len(w.image), p.Len()))
	}
	copy(w.image, pixels)
	p.floats(w, dst)
}

// Change does to the pixels of training example i, in place, what epoch does to
// them before they are resized.
func (p *Preparation) Change(epoch, i int, pixels []byte) {
	w := p.take()
	defer p.give(w)
	if copy(w.image, pixels) != len(w.image) || len(pixels) != len(w.image) {
		panic(fmt.Sprintf("data: change %d bytes, want %d", len(pixels), len(w.image)))
	}
	p.augment.apply(w, epoch, i)
	copy(pixels, w.image)
}

// floats resizes the image in w and turns it into floats.
func (p *Preparation) floats(w *workspace, dst []float32) {
	pixels := w.image
	if p.resizer != nil {
		p.resizer.Resize(w.resized, pixels, w.words)
		pixels = w.resized
	}
	area := p.toHeight * p.toWidth
	from := len(pixels) / p.channels
	for c := range p.channels {
		values, src, out := &p.values[c], pixels[c*from:(c+1)*from], dst[c*area:(c+1)*area]
		if p.pad == 0 {
			lookUp(out, src, values)
			continue
		}
		p.bordered(out, src, values)
	}
}

// bordered is lookUp with the border around it.
func (p *Preparation) bordered(out []float32, src []byte, values *[256]float32) {
	for i := range out {
		out[i] = values[0]
	}
	width := p.toWidth - 2*p.pad
	for y := p.pad; y < p.toHeight-p.pad; y++ {
		lookUp(out[y*p.toWidth+p.pad:][:width], src[(y-p.pad)*width:][:width], values)
	}
}

// lookUp does out[i] = values[src[i]].
func lookUp(out []float32, src []byte, values *[256]float32) {
	out = out[:len(src)]
	for ; len(src) >= 8; src, out = src[8:], out[8:] {
		v, eight := binary.LittleEndian.Uint64(src), (*[8]float32)(out)
		eight[0], eight[1] = values[byte(v)], values[byte(v>>8)]
		eight[2], eight[3] = values[byte(v>>16)], values[byte(v>>24)]
		eight[4], eight[5] = values[byte(v>>32)], values[byte(v>>40)]
		eight[6], eight[7] = values[byte(v>>48)], values[byte(v>>56)]
	}
	for i, v := range src {
		out[i] = values[v]
	}
}

// take returns a work space that nobody uses.
func (p *Preparation) take() *workspace {
	p.lock.Lock()
	defer p.lock.Unlock()
	if n := len(p.free); n > 0 {
		w := p.free[n-1]
		p.free = p.free[:n-1]
		return w
	}
	size := p.channels * p.height * p.width
	w := &workspace{image: make([]byte, size), other: make([]byte, size)}
	if p.resizer != nil {
		w.resized = make([]byte, p.channels*(p.toHeight-2*p.pad)*(p.toWidth-2*p.pad))
		w.words = make([]uint64, p.resizer.Work())
	}
	return w
}

func (p *Preparation) give(w *workspace) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.free = append(p.free, w)
}

// valuesOf returns what the pixel values of each channel become.
func valuesOf(m Manifest, in job.Input) ([][256]float32, error) {
	values := make([][256]float32, m.Channels)
	mean, deviation := m.Moments()
	for c := range values {
		if in.Normalize == job.NormalizeSet && deviation[c] == 0 {
			return nil, fmt.Errorf("data set %s: channel %d has one value in all training examples and cannot be normalised by its deviation: set input.normalize to %s", m.Name, c, job.NormalizeUnit)
		}
		for v := range values[c] {
			x := float64(v) / 255
			switch in.Normalize {
			case job.NormalizeUnit:
				// A true division, as ToTensor does it: a product differs in the
				// last bit.
				values[c][v] = float32(v) / 255
			case job.NormalizeSet:
				values[c][v] = float32((x - mean[c]) / deviation[c])
			case job.NormalizeRange:
				low, high := float64(in.Low), float64(in.High)
				values[c][v] = float32(low + float64(x*(high-low)))
			default:
				panic(fmt.Sprintf("data: normalise by %q", in.Normalize))
			}
		}
	}
	return values, nil
}
