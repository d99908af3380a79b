package kernels

import (
	"sync/atomic"
	"time"
)

// peakLoops are two loops of an isa that touch no memory, each called with how
// often to repeat it.
type peakLoops struct {
	fma    func(n *uintptr) // products into independent sums
	flops  int              // of a repetition
	clock  func(n *uintptr) // additions that wait for one another
	cycles int              // of a repetition, or 0 where clock is nil
}

// genericPeak is what the reference's arithmetic can do.
var genericPeak = peakLoops{fma: genericPeakFMA, flops: 2 * 4}

// genericPeakSum keeps the compiler from leaving the sums out.
var genericPeakSum atomic.Bool

func genericPeakFMA(n *uintptr) {
	x, sums := float32(0.5), [4]float32{1, 2, 3, 4}
	for range *n {
		for i, s := range sums {
			sums[i] = fma(s, x, x)
		}
	}
	genericPeakSum.Store(sums[0] > 0)
}

// Peak measures for about a time d what the implementation in use can compute at
// most: the floating-point operations of a second, in units of 10⁹, that threads
// goroutines do together with all operands in registers, and the clock in GHz
// while all are busy, 0 where there is no loop to measure it. Each is the best of
// a few measurements, for what is looked for is a bound.
func Peak(threads int, d time.Duration) (gflops, gigahertz float64) {
	p := NewPool(threads)
	defer p.Close()
	loops := active.peak
	gflops = p.rate(d/2, loops.fma) * float64(loops.flops) / 1e9
	if loops.clock != nil {
		gigahertz = p.rate(d/2, loops.clock) * float64(loops.cycles) / float64(threads) / 1e9
	}
	return gflops, gigahertz
}

// rate is how many repetitions of f all threads do in a second.
func (p *Pool) rate(d time.Duration, f func(n *uintptr)) float64 {
	const measurements, calls = 5, 16 // a call is some microseconds long
	repetitions := uintptr(1000)
	run := func(int) {
		for range calls {
			f(&repetitions)
		}
	}
	best := 0.0
	for range measurements {
		done, begin := 0, time.Now()
		for done == 0 || time.Since(begin) < d/measurements {
			p.Run(8*p.threads, run)
			done += 8 * p.threads
		}
		best = max(best, float64(done*calls)*float64(repetitions)/time.Since(begin).Seconds())
	}
	return best
}
