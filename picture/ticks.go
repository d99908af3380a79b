package picture

import (
	"strconv"

	"gonum.org/v1/plot"
)

// ticks marks an axis at about six multiples of a round number, at whole ones
// alone if whole.
type ticks struct{ whole bool }

func (t ticks) Ticks(low, high float64) []plot.Tick {
	step := roundStep((high - low) / 6)
	if t.whole {
		step = max(1, step)
	}
	var list []plot.Tick
	first := int(low / step)
	if low > 0 && float64(first)*step < low {
		first++
	}
	for k := first; float64(k)*step <= high+step/1000; k++ {
		v := float64(k) * step
		list = append(list, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 4, 64)})
	}
	return list
}

// roundStep is the least of 1, 2 and 5 times a power of ten that is not below at.
func roundStep(at float64) float64 {
	if !(at > 0) {
		return 1
	}
	power := 1.0
	for power*10 <= at {
		power *= 10
	}
	for power > at {
		power /= 10
	}
	for _, m := range []float64{1, 2, 5} {
		if m*power >= at {
			return m * power
		}
	}
	return 10 * power
}
