package data

import (
	"math"
	"testing"

	"convoy/internal/allocs"
)

func TestFill(t *testing.T) {
	split := counted{256, 5}
	indices := []int{255, 0, 17, 3, 3}
	images, labels := make([]float32, 5*5), make([]int32, 5)
	Fill(split, indices, images, labels)
	for k, i := range indices {
		if labels[k] != int32(i%7) {
			t.Errorf("label %d is %d, want %d", k, labels[k], i%7)
		}
		for p := range 5 {
			if got, want := images[5*k+p], float32(i)/255; math.Float32bits(got) != math.Float32bits(want) {
				t.Errorf("image %d, pixel %d is %v, want %v", k, p, got, want)
			}
		}
	}
	Fill(split, nil, nil, nil)

	image, label := make([]float32, digitsSize), make([]int32, 1)
	var kept Split = newDrawn(0, 1)
	if n := allocs.Steady(func() { Fill(kept, []int{0}, image, label) }); n != 0 {
		t.Errorf("%v allocations in Fill", n)
	}
}
