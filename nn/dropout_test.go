package nn

import (
	"math"
	"testing"

	"convoy/kernels"
)

// dropped runs a Dropout layer over n ones and returns what comes out.
func dropped(t *testing.T, rate float32, n int, change func(r *run, d *dropout)) []float32 {
	r, op := bound(t, Dropout{Rate: rate}, Shape{40, 5, 5}, true)
	r.n = n
	if change != nil {
		change(r, op.(*dropout))
	}
	x := make([]float32, n*1000)
	for i := range x {
		x[i] = 1
	}
	y := make([]float32, len(x))
	op.forward(r, kernels.Maps{V: x, Pitch: 40}, kernels.Maps{V: y, Pitch: 40})
	return y
}

// TestDropoutMask: as many values as the rate says are 0, the others scaled, and
// what is kept follows from the example's place in the step, not in the block.
func TestDropoutMask(t *testing.T) {
	for _, rate := range []float32{0, 0.1, 0.5, 0.9} {
		y := dropped(t, rate, 30, nil)
		zeros := 0
		for _, v := range y {
			if v == 0 {
				zeros++
			} else if v != 1/(1-rate) {
				t.Fatalf("rate %v makes %v of 1", rate, v)
			}
		}
		if part := float64(zeros) / float64(len(y)); math.Abs(part-float64(rate)) > 0.01 {
			t.Errorf("rate %v drops %v of the values", rate, part)
		}
		later := dropped(t, rate, 10, func(r *run, _ *dropout) { r.first += 20 })
		if !sameBits(later, y[20*1000:]) {
			t.Errorf("rate %v: an example's mask depends on the examples before it", rate)
		}
	}
	want := dropped(t, 0.5, 3, nil)
	for name, change := range map[string]func(r *run, d *dropout){
		"seed":    func(r *run, _ *dropout) { r.seed++ },
		"step":    func(r *run, _ *dropout) { r.step++ },
		"example": func(r *run, _ *dropout) { r.first++ },
		"layer":   func(_ *run, d *dropout) { d.words += 500 },
	} {
		equal := 0
		for i, v := range dropped(t, 0.5, 3, change) {
			if v == want[i] {
				equal++
			}
		}
		if math.Abs(float64(equal)/3000-0.5) > 0.05 {
			t.Errorf("another %s: %d of 3000 values are treated alike, want half", name, equal)
		}
	}
	if y := dropped(t, 0.5, 2, func(r *run, _ *dropout) { r.training = false }); !sameBits(y, dropped(t, 0, 2, nil)) {
		t.Error("dropout works in evaluation")
	}
}

// TestDropoutLayersDiffer: two layers of one network take different numbers.
func TestDropoutLayersDiffer(t *testing.T) {
	b := newBinder(Options{}, true)
	for i, want := range []int{0, 13, 26} {
		op, err := Dropout{Rate: 0.5}.bind(b, Shape{25, 1, 1})
		if err != nil || op.(*dropout).words != want {
			t.Errorf("layer %d begins at word %d, want %d (%v)", i, op.(*dropout).words, want, err)
		}
	}
	b.drops = maxDrops - 12
	if _, err := (Dropout{Rate: 0.5}).bind(b, Shape{25, 1, 1}); err == nil {
		t.Error("more random numbers than a stream has")
	}
}
