package data

import (
	"fmt"
	"math"
	"math/bits"
)

// PixelSums are the exact sums of one channel's pixel values, 0 to 255, over
// the training examples, and of their squares. They are integers, so that a
// set's mean and deviation are the same to the bit whoever added in which order.
type PixelSums struct {
	Sum     uint64 `json:"sum"`
	Squares uint64 `json:"squares"`
}

func (s *PixelSums) add(t PixelSums) {
	s.Sum += t.Sum
	s.Squares += t.Squares
}

// maxPlane bounds the pixels of one channel in all training examples: their
// squares then add up to less than 2⁶⁴.
const maxPlane = math.MaxUint64 / (255 * 255)

// addPixels adds images of len(sums) channels × area pixels to sums.
func addPixels(sums []PixelSums, pixels []byte, area int) {
	for at := 0; at < len(pixels); {
		for c := range sums {
			var sum, squares uint64
			for _, v := range pixels[at : at+area] {
				sum += uint64(v)
				squares += uint64(v) * uint64(v)
			}
			sums[c].add(PixelSums{sum, squares})
			at += area
		}
	}
}

// check reports whether n pixels can have such sums.
func (s PixelSums) check(n uint64) error {
	if s.Sum > 255*n || s.Squares > 255*s.Sum || s.Squares < s.Sum {
		return fmt.Errorf("%d pixels of sum %d and squares %d: no values from 0 to 255 add up to that", n, s.Sum, s.Squares)
	}
	if _, _, fine := s.spread(n); !fine {
		return fmt.Errorf("%d pixels of sum %d and squares %d: their variance would be negative", n, s.Sum, s.Squares)
	}
	return nil
}

// spread is n·squares − sum², n² times the variance, in two words; fine is false
// where it is negative.
func (s PixelSums) spread(n uint64) (high, low uint64, fine bool) {
	high, low = bits.Mul64(n, s.Squares)
	sumHigh, sumLow := bits.Mul64(s.Sum, s.Sum)
	low, borrow := bits.Sub64(low, sumLow, 0)
	high, borrow = bits.Sub64(high, sumHigh, borrow)
	return high, low, borrow == 0
}

// Moments returns the mean and the standard deviation (of the population: the
// divisor is the number of pixels) of each channel over the training examples,
// in the unit of job.NormalizeUnit: pixel value ÷ 255. Both follow from the exact sums by a
// fixed sequence of operations that every machine rounds alike.
func (m Manifest) Moments() (mean, deviation []float64) {
	n := m.plane()
	for _, s := range m.PixelSums {
		high, low, _ := s.spread(n)
		spread := float64(float64(high)*0x1p64) + float64(low)
		mean = append(mean, float64(s.Sum)/float64(255*n))
		deviation = append(deviation, math.Sqrt(spread)/float64(255*n))
	}
	return mean, deviation
}

// plane is the number of pixels of one channel in all training examples.
func (m Manifest) plane() uint64 { return uint64(m.Train) * uint64(m.Height) * uint64(m.Width) }

// checkSums is the part of Check that looks at the sums of pixels.
func (m Manifest) checkSums() error {
	if m.plane() > maxPlane {
		return fmt.Errorf("manifest of %q: %d pixels in a channel of the training examples: at most %d", m.Name, m.plane(), uint64(maxPlane))
	}
	if len(m.PixelSums) != m.Channels {
		return fmt.Errorf("manifest of %q: sums of pixels of %d channels, want %d: import the data set again", m.Name, len(m.PixelSums), m.Channels)
	}
	for c, s := range m.PixelSums {
		if err := s.check(m.plane()); err != nil {
			return fmt.Errorf("manifest of %q, channel %d: %w", m.Name, c, err)
		}
	}
	return nil
}
