package data

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// stored is a split of given pixels, all of class 0.
type stored [][]byte

func (s stored) Len() int { return len(s) }

func (s stored) Example(i int, pixels []byte) int {
	copy(pixels, s[i])
	return 0
}

func TestPixelSums(t *testing.T) {
	about := Manifest{Name: "two", Classes: 1, Channels: 2, Height: 1, Width: 2}
	set, err := Import(about, stored{{1, 2, 0, 255}, {3, 4, 255, 0}}, stored{{9, 9, 9, 9}})
	if err != nil {
		t.Fatal(err)
	}
	got := set.Manifest.PixelSums
	if want := [2]PixelSums{{10, 30}, {510, 2 * 255 * 255}}; [2]PixelSums(got) != want {
		t.Errorf("sums %v, want %v", got, want)
	}
	mean, deviation := set.Manifest.Moments()
	// The variance of 1, 2, 3, 4 is 5/4; that of 0, 255, 255, 0 is 127.5².
	for c, want := range [][2]float64{{2.5 / 255, math.Sqrt(5) / 2 / 255}, {0.5, 0.5}} {
		if math.Abs(mean[c]-want[0]) > 1e-15 || math.Abs(deviation[c]-want[1]) > 1e-15 {
			t.Errorf("channel %d: mean %v, deviation %v, want %v", c, mean[c], deviation[c], want)
		}
	}
}

// TestSpread compares the variance in two words with that of big integers, and
// checks that the sums of real pixels pass.
func TestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pixels := rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "pixels")
		times := rapid.Uint64Range(1, maxPlane/50).Draw(t, "times")
		sums := make([]PixelSums, 1)
		addPixels(sums, pixels, len(pixels))
		s, n := PixelSums{sums[0].Sum * times, sums[0].Squares * times}, uint64(len(pixels))*times
		if err := s.check(n); err != nil {
			t.Fatal(err)
		}
		high, low, _ := s.spread(n)
		got := new(big.Int).Add(new(big.Int).Lsh(new(big.Int).SetUint64(high), 64), new(big.Int).SetUint64(low))
		want := new(big.Int).Mul(new(big.Int).SetUint64(n), new(big.Int).SetUint64(s.Squares))
		sum := new(big.Int).SetUint64(s.Sum)
		if want.Sub(want, sum.Mul(sum, sum)); got.Cmp(want) != 0 {
			t.Errorf("spread %v, want %v", got, want)
		}
	})
}
