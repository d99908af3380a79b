package data

import (
	"math"

	"convoy/job"
	"convoy/rng"
)

// augmenter changes training examples at random: first the place (crop or
// shift), then flip, then the colours. It is torchvision's RandomCrop,
// RandomHorizontalFlip and ColorJitter, in bytes, with whole numbers alone.
type augmenter struct {
	job.Augment
	channels, height, width int
	seed                    uint64
	factors                 [3]factorRange // brightness, contrast, saturation
}

// one is the factor 1: factors are multiples of 2⁻¹⁶.
const one = 1 << 16

// factorRange is the factors that a colour change chooses from.
type factorRange struct{ low, count uint32 }

func newAugmenter(a job.Augment, channels, height, width int, seed uint64) augmenter {
	g := augmenter{Augment: a, channels: channels, height: height, width: width, seed: seed}
	for k, b := range []float32{a.Brightness, a.Contrast, a.Saturation} {
		reach := uint32(math.Round(float64(b) * one))
		low := one - min(reach, one)
		g.factors[k] = factorRange{low: low, count: one + reach - low + 1}
	}
	return g
}

// changes is what one example undergoes.
type changes struct {
	flip   bool
	dy, dx int       // the pixel at y, x comes from y+dy, x+dx
	order  [3]int    // of the colour changes
	factor [3]uint32 // of brightness, contrast, saturation
}

// draw returns the changes of an example in an epoch. Each has random numbers of
// its own, so that asking for one more leaves the others as they were.
func (g *augmenter) draw(epoch, example int) changes {
	s := rng.At(g.seed, rng.Augment, uint64(epoch), uint64(example))
	c := changes{flip: s.Uint32()>>31 == 1 && g.Flip}
	reach := max(g.Crop, g.Shift)
	c.dy, c.dx = below(&s, 2*reach+1)-reach, below(&s, 2*reach+1)-reach
	c.order = orders[below(&s, len(orders))]
	for k, f := range g.factors {
		c.factor[k] = f.low + uint32(below(&s, int(f.count)))
	}
	return c
}

// below returns a number in [0, n) from one word: the most likely one is so by
// less than n/2³².
func below(s *rng.Stream, n int) int { return int(uint64(s.Uint32()) * uint64(n) >> 32) }

// orders are the permutations of the three colour changes.
var orders = [6][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}

// apply changes the image in w as example i of the training split is in epoch.
func (g *augmenter) apply(w *workspace, epoch, i int) {
	if g.Augment == (job.Augment{}) {
		return
	}
	c := g.draw(epoch, i)
	if c.flip || c.dy != 0 || c.dx != 0 {
		g.move(w.other, w.image, c)
		w.image, w.other = w.other, w.image
	}
	for _, k := range c.order {
		if c.factor[k] == one {
			continue
		}
		switch k {
		case 0:
			scale(w.image, c.factor[k], 0)
		case 1:
			scale(w.image, c.factor[k], g.meanGrey(w.image))
		case 2:
			saturate(w.image, c.factor[k])
		}
	}
}

// move does dst[y][x] = src[y+dy][x+dx], then the flip, in every channel. Outside
// of src there is 0, or the nearest pixel of src where the change is a shift.
func (g *augmenter) move(dst, src []byte, c changes) {
	for row := range g.channels * g.height {
		channel, y := row/g.height, row%g.height+c.dy
		out := dst[row*g.width : (row+1)*g.width]
		if g.Shift > 0 {
			y = min(max(y, 0), g.height-1)
		} else if y < 0 || y >= g.height {
			clear(out)
			continue
		}
		in := src[(channel*g.height+y)*g.width:][:g.width]
		g.moveRow(out, in, c.dx)
		if c.flip {
			reverse(out)
		}
	}
}

// moveRow does out[x] = in[x+dx].
func (g *augmenter) moveRow(out, in []byte, dx int) {
	n := len(in)
	if dx >= 0 {
		copy(out, in[dx:])
		g.fill(out[n-dx:], in[n-1])
	} else {
		copy(out[-dx:], in)
		g.fill(out[:-dx], in[0])
	}
}

// fill covers what moved into sight.
func (g *augmenter) fill(out []byte, edge byte) {
	if g.Shift == 0 {
		edge = 0
	}
	for i := range out {
		out[i] = edge
	}
}

func reverse(row []byte) {
	for i, j := 0, len(row)-1; i < j; i, j = i+1, j-1 {
		row[i], row[j] = row[j], row[i]
	}
}

// blend is factor·v + (1 − factor)·w, rounded to the nearest byte.
func blend(factor uint32, v, w int32) byte {
	sum := int32(factor)*v + (one-int32(factor))*w + one/2
	return byte(min(max(sum>>16, 0), 255))
}

// scale blends every pixel with the value w: brightness with black, contrast
// with the mean.
func scale(pixels []byte, factor uint32, w int32) {
	var table [256]byte
	for v := range table {
		table[v] = blend(factor, int32(v), w)
	}
	for i, v := range pixels {
		pixels[i] = table[v]
	}
}

// grey is the luma of ITU-R BT.601 as Pillow's convert("L") computes it.
func grey(r, g, b byte) int32 {
	return int32((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(b) + 1<<15) >> 16)
}

// meanGrey is the mean of the image's grey values, rounded to the nearest.
func (g *augmenter) meanGrey(pixels []byte) int32 {
	area := g.height * g.width
	var sum int64
	if g.channels == 3 {
		red, green, blue := pixels[:area], pixels[area:2*area], pixels[2*area:3*area]
		for i, r := range red {
			sum += int64(grey(r, green[i], blue[i]))
		}
	} else {
		for _, v := range pixels {
			sum += int64(v)
		}
	}
	return int32((2*sum + int64(area)) / int64(2*area))
}

// saturate blends every pixel with its grey value.
func saturate(pixels []byte, factor uint32) {
	area := len(pixels) / 3
	red, green, blue := pixels[:area], pixels[area:2*area], pixels[2*area:3*area]
	for i, r := range red {
		y := grey(r, green[i], blue[i])
		red[i], green[i], blue[i] = blend(factor, int32(r), y), blend(factor, int32(green[i]), y), blend(factor, int32(blue[i]), y)
	}
}
