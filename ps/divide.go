package ps

import "math"

// maxUnits bounds what a plan is searched over: more micro-batches than that are
// handed out in blocks.
const maxUnits = 128

// rated is a worker and the seconds that a micro-batch costs it.
type rated struct {
	id   string
	each float64
}

// evenly cuts m micro-batches into contiguous ranges of whole units that differ by
// at most one. More workers than units leave the last ones in reserve.
func evenly(workers []rated, m, unit int) []assignment {
	m /= unit
	n := min(len(workers), m)
	a := make([]assignment, n)
	for i := range a {
		a[i] = assignment{workers[i].id, i * m / n * unit, (i + 1) * m / n * unit}
	}
	return a
}

// cost is how many seconds a worker takes for [low, high): its micro-batches, and
// their nodes on the way.
func (w rated) cost(low, high int, node float64) float64 {
	return w.each*float64(high-low) + node*float64(nodes(low, high))
}

// nodes is how many nodes cover [low, high).
func nodes(low, high int) int {
	n := 0
	for ; low < high; n++ {
		width := high & -high // the widest node that ends there
		for high-width < low {
			width /= 2
		}
		high -= width
	}
	return n
}

// slowest is how many seconds the last of a plan's workers takes.
func slowest(plan []assignment, workers []rated, node float64) float64 {
	last := 0.0
	for _, a := range plan {
		for _, w := range workers {
			if w.id == a.worker {
				last = max(last, w.cost(a.low, a.high, node))
			}
		}
	}
	return last
}

// divide cuts m micro-batches, a power of two, into contiguous ranges of whole units
// in the workers' order so that the slowest worker ends as early as can be, and among
// such plans the one whose ranges cost most alike. node is the seconds that a
// node costs on its way. A worker that would hold the others up gets nothing.
func divide(workers []rated, m, unit int, node float64) []assignment {
	unit = max(unit, m/maxUnits)
	cost := func(w rated, low, high int) float64 {
		if low == high {
			return 0
		}
		return w.cost(low*unit, high*unit, node)
	}
	worst, _ := shortest(workers, m/unit, cost, math.Inf(1), math.Max)
	_, cuts := shortest(workers, m/unit, cost, worst, func(sum, x float64) float64 { return sum + x*x })
	var plan []assignment
	low := 0
	for i, w := range workers {
		if high := cuts[i]; high > low {
			plan = append(plan, assignment{w.id, low * unit, high * unit})
			low = high
		}
	}
	return plan
}

// shortest finds where to cut n units so that the workers' costs, each at most
// limit and joined one after the other, come to the least: dynamic programming
// over the workers. cuts are where their ranges end.
func shortest(workers []rated, n int, cost func(w rated, low, high int) float64, limit float64, join func(total, next float64) float64) (least float64, cuts []int) {
	best := make([]float64, n+1) // of the workers so far, by where their last range ends
	for i := range best {
		best[i] = math.Inf(1)
	}
	best[0] = 0
	from := make([][]int, len(workers))
	for i, w := range workers {
		next := make([]float64, n+1)
		from[i] = make([]int, n+1)
		for high := range next {
			next[high] = math.Inf(1)
			for low := high; low >= 0; low-- {
				c := cost(w, low, high)
				if c > limit {
					continue
				}
				if total := join(best[low], c); total < next[high] {
					next[high], from[i][high] = total, low
				}
			}
		}
		best = next
	}
	cuts = make([]int, len(workers))
	end := n
	for i := len(workers) - 1; i >= 0; i-- {
		cuts[i] = end
		end = from[i][end]
	}
	return best[n], cuts
}
