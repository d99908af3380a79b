// Package bench measures how fast this machine trains: a worker's whole step of
// a model (Step), and each distinct layer of each model beside what the machine
// could do at most (Kernels).
//
// Figures are medians over a few measurements of equal length, with the least
// and the greatest: on a machine that others use too a single one means little
// (Hoefler and Belli, "Scientific benchmarking of parallel computing systems",
// 2015). FLOP counts are those of the direct algorithm, whichever one runs.
package bench

import (
	"context"
	"slices"
	"time"
)

// measurements is how many of them a figure is the median of, unless a single call
// takes longer than all of them should.
const measurements, fewMeasurements = 5, 3

// sample calls f once to let buffers grow, and then until each of the measurements
// has taken its part of a total time, one call at least. It returns their seconds
// a call, sorted, or ends early with ctx's error.
func sample(ctx context.Context, total time.Duration, f func()) ([]float64, error) {
	begin := time.Now()
	f()
	n := measurements
	if time.Since(begin) > total {
		n = fewMeasurements
	}
	seconds := make([]float64, n)
	for i := range seconds {
		calls, begin := 0, time.Now()
		for calls == 0 || time.Since(begin) < total/time.Duration(n) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			f()
			calls++
		}
		seconds[i] = time.Since(begin).Seconds() / float64(calls)
	}
	slices.Sort(seconds)
	return seconds, nil
}
