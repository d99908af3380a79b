package kernels

import (
	"fmt"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
)

// benchConvs are the convolutions that Winograd might take.
var benchConvs = []struct {
	name              string
	c, h, o, k, batch int
}{
	{"vgg256x56", 256, 56, 256, 3, 32},
	{"vgg512x14", 512, 14, 512, 3, 32},
	{"alex5x5", 96, 26, 256, 5, 32},
	{"alex256-384", 256, 12, 384, 3, 32},
	{"alex384-384", 384, 12, 384, 3, 32},
	{"alex384-256", 384, 12, 256, 3, 32},
	{"vgg64-128x112", 64, 112, 128, 3, 8},
	{"vgg128-256x56", 128, 56, 256, 3, 8},
	{"vgg256-512x28", 256, 28, 512, 3, 8},
	{"vgg512x28", 512, 28, 512, 3, 8},
	{"vgg512x14b8", 512, 14, 512, 3, 8},
	{"vgg4-16-32x112", 16, 112, 32, 3, 32},
	{"vgg4-32-64x56", 32, 56, 64, 3, 32},
	{"vgg4-64-64x56", 64, 56, 64, 3, 32},
	{"vgg4-64-128x28", 64, 28, 128, 3, 32},
	{"vgg4-128-128x28", 128, 28, 128, 3, 32},
	{"vgg4-128-128x14", 128, 14, 128, 3, 32},
	{"nin256-384x12", 256, 12, 384, 3, 32},
	{"nin384-10x5", 384, 5, 10, 3, 32},
	{"goog64-192x24", 64, 24, 192, 3, 32},
	{"goog96-128x12", 96, 12, 128, 3, 32},
	{"goog128-192x12", 128, 12, 192, 3, 32},
	{"goog96-208x6", 96, 6, 208, 3, 32},
	{"goog112-224x6", 112, 6, 224, 3, 32},
	{"goog160-320x6", 160, 6, 320, 3, 32},
	{"goog160-320x3", 160, 3, 320, 3, 32},
	{"goog192-384x3", 192, 3, 384, 3, 32},
	{"goog5-16-32x12", 16, 12, 32, 5, 32},
	{"goog5-32-96x12", 32, 12, 96, 5, 32},
	{"goog5-16-48x6", 16, 6, 48, 5, 32},
	{"goog5-24-64x6", 24, 6, 64, 5, 32},
	{"goog5-32-128x6", 32, 6, 128, 5, 32},
	{"goog5-32-128x3", 32, 3, 128, 5, 32},
	{"goog5-48-128x3", 48, 3, 128, 5, 32},
}

// TestWinogradSpeed prints, where WINOGRAD_BENCH names shapes (a part of the name,
// or all), the directions' GFLOP/s, in terms of the definition's products, of both
// algorithms.
func TestWinogradSpeed(t *testing.T) {
	pattern := os.Getenv("WINOGRAD_BENCH")
	if pattern == "" {
		t.Skip("WINOGRAD_BENCH is not set")
	}
	threads := 1
	if v := os.Getenv("THREADS"); v == "2" {
		threads = 2
	}
	p := newPool(t, threads)
	for _, b := range benchConvs {
		match := pattern == "all"
		for _, part := range strings.Split(pattern, ",") {
			match = match || strings.Contains(b.name, part)
		}
		if !match {
			continue
		}
		s := Conv{C: b.c, H: b.h, W: b.h, O: b.o, KH: b.k, KW: b.k, StrideH: 1, StrideW: 1, PadH: b.k / 2, PadW: b.k / 2}
		z := noise(1)
		x, gy := maps(z.floats, b.batch*s.H*s.W, s.C, 0), maps(z.floats, b.batch*s.H*s.W, s.O, 0)
		y, gx := maps(z.floats, b.batch*s.H*s.W, s.O, 0), maps(z.floats, b.batch*s.H*s.W, s.C, 0)
		w, bias := z.floats(s.Weights()), z.floats(s.O)
		gw, gb := z.floats(s.Weights()), z.floats(s.O)
		cuts := make([]int, 9)
		for i := range cuts {
			cuts[i] = i * b.batch / 8
		}
		plans := []*Convolution{{s, newWinograd(s)}}
		if os.Getenv("DIRECT") != "" {
			plans = append(plans, NewConvolution(s, true))
		}
		for _, c := range plans {
			pack := fastest(func() { c.Pack(p, w, true) })
			fmt.Printf("%-16s %-20s t=%d pack %5.2f ms", b.name, c.Algorithm(), threads, pack*1e3)
			show := func(name string, f func()) {
				if only := os.Getenv("DIRECTION"); only != "" && only != name {
					return
				}
				d := fastest(f)
				fmt.Printf("  %s %7.2f ms %5.1f (%.2f)", name, d*1e3, float64(s.FLOPs()*b.batch)/d/1e9, float64(s.FLOPs()*b.batch)/d/1e9/115)
			}
			show("fwd", func() { c.Forward(p, b.batch, x, bias, true, y) })
			show("bwd", func() { c.BackwardData(p, b.batch, gy, gx, false) })
			show("w8", func() { c.BackwardWeights(p, x, gy, cuts, gw, gb) })
			show("w1", func() { c.BackwardWeights(p, x, gy, []int{0, b.batch}, gw, gb) })
			fmt.Println()
		}
	}
}

// fastest is the least processor time of f in some hundreds of milliseconds: on a
// machine that others use, the best of what there is.
func fastest(f func()) float64 {
	f()
	best, total := math.Inf(1), 0.0
	for n := 0; n < 4 || total < 0.4 && n < 1000; n++ {
		begin := processorTime()
		runs := 0
		for runs == 0 || processorTime()-begin < 5e-3 {
			f()
			runs++
		}
		d := processorTime() - begin
		best, total = min(best, d/float64(runs)), total+d
	}
	return best
}

func processorTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
