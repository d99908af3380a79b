package ps

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"convoy/tree"
)

// workersOf rates workers a, b, c, … by the seconds of a micro-batch.
func workersOf(each ...float64) (workers []rated) {
	for i, x := range each {
		workers = append(workers, rated{string(rune('a' + i)), x})
	}
	return workers
}

// widths are how many micro-batches each worker gets: "4 4", "-" for none.
func widths(workers []rated, plan []assignment) string {
	var all []string
	for _, w := range workers {
		text := "-"
		for _, a := range plan {
			if a.worker == w.id {
				text = fmt.Sprint(a.high - a.low)
			}
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func TestDivideBySpeed(t *testing.T) {
	for _, c := range []struct {
		name string
		each []float64
		m    int
		node float64
		want string
	}{
		{"one", []float64{1}, 8, 0, "8"},
		{"two equal", []float64{1, 1}, 8, 0, "4 4"},
		{"four equal", []float64{3, 3, 3, 3}, 8, 0, "2 2 2 2"},
		{"half as fast", []float64{1, 2, 1}, 10, 0, "4 2 4"},
		{"a third as fast", []float64{1, 3}, 8, 0, "6 2"},
		{"a little slower is no reason", []float64{1, 1.05}, 8, 0, "4 4"},
		{"too slow for anything", []float64{1, 1, 100}, 8, 0, "4 4 -"},
		{"the slow ones in reserve", []float64{3, 1, 2, 1}, 2, 0, "- 1 - 1"},
		{"as many as blocks", []float64{1, 1, 1}, 2, 0, "1 1 -"},
		{"nodes cost little", []float64{1, 1, 1}, 8, 0.01, "3 3 2"},
		{"nodes cost more than micro-batches", []float64{1, 1, 1}, 8, 3, "4 4 -"},
		{"in units", []float64{1, 1}, 1024, 0, "512 512"},
		{"in units by speed", []float64{1, 3}, 1024, 0, "768 256"},
	} {
		workers := workersOf(c.each...)
		if got := widths(workers, divide(workers, c.m, 1, c.node)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// A plan covers everything once, in order, and none of the plans for few
// micro-batches is faster.
func TestDivideIsBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := 1 << rapid.IntRange(0, 3).Draw(t, "log M")
		var each []float64
		for range rapid.IntRange(1, 4).Draw(t, "workers") {
			each = append(each, float64(rapid.IntRange(1, 9).Draw(t, "each")))
		}
		node := float64(rapid.IntRange(0, 5).Draw(t, "node"))
		workers := workersOf(each...)
		plan := divide(workers, m, 1, node)
		at := 0
		for _, a := range plan {
			if a.low != at || a.high <= a.low {
				t.Fatalf("plan %+v", plan)
			}
			at = a.high
		}
		if at != m || !slices.IsSortedFunc(plan, func(a, b assignment) int { return strings.Compare(a.worker, b.worker) }) {
			t.Fatalf("plan %+v of %d", plan, m)
		}
		if got, want := slowest(plan, workers, node), exhaustive(workers, 0, m, node); got != want {
			t.Fatalf("the slowest of %+v takes %g, the best plan %g", plan, got, want)
		}
	})
}

func exhaustive(workers []rated, low, m int, node float64) float64 {
	if len(workers) == 0 {
		if low == m {
			return 0
		}
		return math.Inf(1)
	}
	best := exhaustive(workers[1:], low, m, node)
	for high := low + 1; high <= m; high++ {
		best = min(best, max(workers[0].cost(low, high, node), exhaustive(workers[1:], high, m, node)))
	}
	return best
}

func TestNodesAreThoseOfTheTree(t *testing.T) {
	for low := range 33 {
		for high := low; high <= 32; high++ {
			if got, want := nodes(low, high), len(tree.Cover(low, high)); got != want {
				t.Errorf("[%d,%d) has %d nodes, want %d", low, high, got, want)
			}
		}
	}
}
