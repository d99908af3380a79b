package kernels

import (
	"testing"
	"time"
)

func TestPeak(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for _, threads := range []int{1, 2} {
			gflops, gigahertz := Peak(threads, 10*time.Millisecond)
			if gflops <= 0 || gigahertz < 0 || (active != generic) != (gigahertz > 0) {
				t.Errorf("%d threads: %g GFLOP/s at %g GHz", threads, gflops, gigahertz)
			}
			t.Logf("%d threads: %.1f GFLOP/s at %.2f GHz", threads, gflops, gigahertz)
		}
	})
}
