// Package allocs counts what code allocates in its steady state.
package allocs

import "testing"

// Steady returns how many allocations a call of f costs: the least of several
// measurements. testing.AllocsPerRun counts those of the whole process, so that
// on a loaded machine the runtime's own can get into one of them; what f itself
// allocates is in all.
func Steady(f func()) float64 {
	least := testing.AllocsPerRun(5, f)
	for range 4 {
		least = min(least, testing.AllocsPerRun(5, f))
	}
	return least
}
