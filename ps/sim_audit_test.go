package ps

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"convoy/state"
)

// spoil flips a bit, as a machine with bad memory does.
func spoil(data []float32, sums *state.Sums) {
	if len(data) == 0 {
		sums.Loss = math.Float64frombits(math.Float64bits(sums.Loss) ^ 1<<40)
		return
	}
	at := len(data) / 2
	data[at] = math.Float32frombits(math.Float32bits(data[at]) ^ 1<<20)
}

// audited is a plot of four workers in which every block is computed twice. The
// first worker computes wrongly now and then, the second one is slow.
var audited = plot{workers: 4, audit: 1, script: func(w *world) { w.workers[0].wrong, w.workers[1].slow = 0.2, 6 }}

// TestSimulatedAudits: with every block computed twice a worker that computes
// wrongly changes nothing, whatever else goes wrong, and nobody else is blamed.
func TestSimulatedAudits(t *testing.T) {
	first, last := uint64(1), *simSeeds/5+1
	if *simSeed != 0 {
		first, last = *simSeed, *simSeed
	}
	caught := 0
	for seed := first; seed <= last; seed++ {
		blamed := map[string]bool{}
		failure := newWorld(seed, audited, func(format string, args ...any) {
			line := fmt.Sprintf(format, args...)
			if *simSeed != 0 {
				t.Log(line)
			}
			if before, _, found := strings.Cut(line, " is quarantined: "); found {
				blamed[before[strings.LastIndexByte(before, ' ')+1:]] = true
			}
		}).run()
		if failure != "" {
			t.Errorf("seed %d: %s\nreplay it with: go test ./ps -run TestSimulatedAudits -v -sim.seed %d", seed, failure, seed)
		}
		if blamed["w1"] {
			caught++
			delete(blamed, "w1")
		}
		if len(blamed) > 0 {
			t.Errorf("seed %d: %v are quarantined, only w1 computes wrongly", seed, blamed)
		}
	}
	if caught == 0 {
		t.Error("w1 is never caught")
	}
}
