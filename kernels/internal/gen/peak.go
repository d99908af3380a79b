package main

import "fmt"

// peakSums is how many independent sums the peak's loop has: more than the
// latency of an FMA times how many begin in a cycle, on any processor so far.
const peakSums = 12

// clockAdds is how many additions, each of which waits for the one before, the
// clock's loop has.
const clockAdds = 64

// peaks emits the two loops of Peak.
func peaks(w *writer) string {
	fma := w.kernel("peakFMA", "n *uintptr", func(a *asm) {
		sums, x, y := a.take(peakSums), a.vector(), a.vector()
		for _, v := range append(sums, x, y) {
			a.zero(v)
		}
		a.loop(a.argument(0), func() {
			for _, v := range sums {
				a.fma(v, x, y)
			}
		})
	})
	clock := w.kernel("peakClock", "n *uintptr", func(a *asm) {
		p, q := a.argument(0), a.argument(0)
		a.loop(a.argument(0), func() {
			for range clockAdds {
				a.add(p, q)
			}
		})
	})
	return fmt.Sprintf("\nvar %sPeak = peakLoops{fma: %s, flops: %d, clock: %s, cycles: %d}\n",
		w.name, fma, 2*peakSums*w.lanes, clock, clockAdds)
}
