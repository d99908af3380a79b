// Package allocs counts what code allocates in its steady state.
package allocs

import (
	"runtime"
	"testing"
)

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

// Few is Steady for an f that takes long: it calls f until a call allocates
// nothing, at most five times, and returns the fewest allocations of one. Unlike
// testing.AllocsPerRun it leaves the threads to f.
func Few(f func()) uint64 {
	var before, after runtime.MemStats
	least := ^uint64(0)
	for range 5 {
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if least = min(least, after.Mallocs-before.Mallocs); least == 0 {
			break
		}
	}
	return least
}
