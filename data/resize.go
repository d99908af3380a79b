package data

import (
	"encoding/binary"
	"fmt"
)

// Resize returns images of channels × height × width bytes, channel by channel
// and row by row, at another size, as Resizer does it.
func Resize(pixels []byte, channels, height, width, toHeight, toWidth int) []byte {
	r := NewResizer(height, width, toHeight, toWidth)
	if len(pixels) != channels*height*width {
		panic(fmt.Sprintf("data: resize %d bytes as %d×%d×%d", len(pixels), channels, height, width))
	}
	resized := make([]byte, channels*toHeight*toWidth)
	r.Resize(resized, pixels, make([]uint64, r.Work()))
	return resized
}

// A Resizer brings images of one size to another by linear interpolation between
// the centres of pixels. It is Pillow's Image.resize with BILINEAR, which is what
// torchvision's Resize does to pictures: where an image grows, the weights are
// PyTorch's interpolate(mode="bilinear", align_corners=False); where it shrinks,
// the triangle is as much wider (antialias=True), so that every pixel counts.
// Columns come first, then rows, each rounded to a byte.
//
// All of it is whole numbers: the same bytes everywhere. An image of one value
// keeps it, the same size changes nothing, and a mirrored image becomes the
// mirrored result. A Resizer is never changed and serves any number of
// goroutines.
type Resizer struct {
	height, width     int // of the source
	toHeight, toWidth int
	rows, columns     taps
}

// NewResizer makes the tables from one size to another. Sides are 1 to 16384
// pixels.
func NewResizer(height, width, toHeight, toWidth int) *Resizer {
	for _, side := range []int{height, width, toHeight, toWidth} {
		if side < 1 || side > maxSide {
			panic(fmt.Sprintf("data: resize %d×%d to %d×%d: sides are 1 to %d", height, width, toHeight, toWidth, maxSide))
		}
	}
	return &Resizer{
		height: height, width: width, toHeight: toHeight, toWidth: toWidth,
		rows: newTaps(height, toHeight), columns: newTaps(width, toWidth),
	}
}

// Work is the length of the work space that Resize wants.
func (r *Resizer) Work() int { return r.height * r.pairs() }

// pairs is the length of a row of the resized image by two pixels a word.
func (r *Resizer) pairs() int { return (r.toWidth + 1) / 2 }

// Resize writes src, one or several channels, resized into dst, which has as
// many. work is Work() long; what it holds does not matter.
func (r *Resizer) Resize(dst, src []byte, work []uint64) {
	from, to := r.height*r.width, r.toHeight*r.toWidth
	if len(src)%from != 0 || len(dst) != len(src)/from*to || len(work) != r.Work() {
		panic(fmt.Sprintf("data: resize %d bytes of %d×%d into %d of %d×%d with %d words of work space, want %d",
			len(src), r.height, r.width, len(dst), r.toHeight, r.toWidth, len(work), r.Work()))
	}
	for ; len(src) > 0; src, dst = src[from:], dst[to:] {
		r.resizeColumns(work, src[:from])
		r.resizeRows(dst[:to], work)
	}
}

// resizeColumns gives each row of src its new width, two pixels in the halves of
// each word.
func (r *Resizer) resizeColumns(words []uint64, src []byte) {
	pairs := r.pairs()
	for y := range r.height {
		row, out := src[y*r.width:(y+1)*r.width], words[y*pairs:(y+1)*pairs]
		x := 0
		if r.columns.n == 2 {
			x = r.columns.grow(out, row)
		}
		for ; x < pairs; x++ {
			if out[x] = r.columns.pixel(row, 2*x); 2*x+1 < r.toWidth {
				out[x] |= r.columns.pixel(row, 2*x+1) << 32
			}
		}
	}
}

// pixel is new pixel x of a row.
func (t *taps) pixel(row []byte, x int) uint64 {
	sum := uint64(roundUp)
	for k, w := range t.weights[x*t.n : (x+1)*t.n] {
		sum += w * uint64(row[t.first[x]+k])
	}
	return sum >> fractionBits
}

// grow makes the whole pairs of a row by two weights each, what an image that
// grows takes, and returns how many they are.
func (t *taps) grow(out []uint64, row []byte) int {
	whole := len(t.first) / 2
	out = out[:whole]
	for x := range out {
		f, w := t.first[2*x:2*x+2:2*x+2], t.weights[4*x:4*x+4:4*x+4]
		p, q := row[f[0]:f[0]+2], row[f[1]:f[1]+2]
		low := w[0]*uint64(p[0]) + w[1]*uint64(p[1])
		high := w[2]*uint64(q[0]) + w[3]*uint64(q[1])
		out[x] = (low + high<<32 + bothUp) >> fractionBits & (0xff<<32 | 0xff)
	}
	return whole
}

// resizeRows adds rows up, two pixels at a time: neither half of a word reaches
// 2³².
func (r *Resizer) resizeRows(dst []byte, words []uint64) {
	pairs := r.pairs()
	for y := range r.toHeight {
		out := dst[y*r.toWidth : (y+1)*r.toWidth]
		f, weights := r.rows.first[y], r.rows.weights[y*r.rows.n:(y+1)*r.rows.n]
		rows := words[f*pairs : (f+len(weights))*pairs]
		if len(weights) == 2 {
			addTwo(out, rows[:pairs], rows[pairs:], weights[0], weights[1])
			continue
		}
		for x := range pairs {
			sum := uint64(bothUp)
			for k, w := range weights {
				sum += w * rows[k*pairs+x]
			}
			unpack(out, x, sum)
		}
	}
}

// bothUp is roundUp for both halves of a word.
const bothUp = roundUp<<32 | roundUp

// addTwo is the sum of two rows, what an image that grows takes: eight pixels at
// a time, then the rest.
func addTwo(out []byte, a, b []uint64, wa, wb uint64) {
	b = b[:len(a)]
	x := 0
	for ; 2*x+8 <= len(out); x += 4 {
		p, q, eight := a[x:x+4:x+4], b[x:x+4:x+4], out[2*x:2*x+8]
		v := packed(wa*p[0]+wb*q[0]) | packed(wa*p[1]+wb*q[1])<<16 | packed(wa*p[2]+wb*q[2])<<32 | packed(wa*p[3]+wb*q[3])<<48
		binary.LittleEndian.PutUint64(eight, v)
	}
	for ; x < len(a); x++ {
		unpack(out, x, wa*a[x]+wb*b[x]+bothUp)
	}
}

// packed is the two pixels of a sum, rounded, in 16 bits.
func packed(sum uint64) uint64 {
	v := (sum + bothUp) >> fractionBits
	return v&0xff | v>>24&0xff00
}

// unpack writes the pixels of pair x, of which the last may lack its second.
func unpack(out []byte, x int, sum uint64) {
	out[2*x] = byte(sum >> fractionBits)
	if 2*x+1 < len(out) {
		out[2*x+1] = byte(sum >> (32 + fractionBits))
	}
}

// Weights are multiples of 2⁻²², as Pillow's are for bytes. They sum to 1 within
// half a unit for each, so at most 16384 of them take nothing from 255.
const (
	fractionBits = 22
	roundUp      = 1 << (fractionBits - 1)
)

// taps says which pixels each new one is the weighted sum of.
type taps struct {
	n       int // weights a pixel
	first   []int
	weights []uint64
}

// newTaps derives the taps from one length to another. With lengths in units of
// half a new pixel's share of a source pixel, everything is a whole number: the
// centres of source pixel j and new pixel i are (2j+1)·to and (2i+1)·from, and
// the triangle reaches 2·max(from, to).
func newTaps(from, to int) taps {
	reach := 2 * max(from, to)
	bounds := func(i int) (low, high int) { // pixels with a weight above 0
		centre := (2*i + 1) * from
		return max(0, (centre-reach+to)/(2*to)), min(from, (centre+reach+to-1)/(2*to))
	}
	t := taps{first: make([]int, to)}
	for i := range to {
		low, high := bounds(i)
		t.n = max(t.n, high-low)
	}
	t.weights = make([]uint64, t.n*to)
	for i := range to {
		low, high := bounds(i)
		sum := 0
		weight := func(j int) int {
			return reach - max((2*j+1)*to-(2*i+1)*from, (2*i+1)*from-(2*j+1)*to)
		}
		for j := low; j < high; j++ {
			sum += weight(j)
		}
		t.first[i] = min(low, from-t.n)
		for j := low; j < high; j++ {
			t.weights[i*t.n+j-t.first[i]] = uint64((weight(j)<<(fractionBits+1) + sum) / (2 * sum))
		}
	}
	return t
}
