package kernels

// Hits counts examples by the place of their label's output among all. An output
// is better than another where it is greater, or smaller where a loss says that
// the least is the answer. Top1 ≤ Top5.
type Hits struct {
	Top1 int // the best output, the first of equals, is the label's
	Top5 int // fewer than 5 outputs are better than the label's
}

// Add adds those of other examples.
func (h *Hits) Add(other Hits) {
	h.Top1 += other.Top1
	h.Top5 += other.Top5
}

// count takes one example, whose outputs are x.
func (h *Hits) count(x []float32, label int, least bool) {
	best, better := 0, 0
	for i, v := range x {
		if beats(v, x[best], least) {
			best = i
		}
		if beats(v, x[label], least) {
			better++
		}
	}
	if best == label {
		h.Top1++
	}
	if better < 5 {
		h.Top5++
	}
}

// beats reports whether output v is better than w.
func beats(v, w float32, least bool) bool { return least && v < w || !least && v > w }
