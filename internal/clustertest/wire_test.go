package clustertest

import (
	"fmt"
	"testing"
)

// TestOneHashOverNarrowWire: rounded to bfloat16 a job has a hash of its own, and
// the same whoever computes it; so it has through the loss of a worker and of the
// leader.
func TestOneHashOverNarrowWire(t *testing.T) {
	digests := map[string]string{}
	for _, wire := range []string{"fp32", "{format: bf16, unit: 1}", "{format: bf16, unit: 4}"} {
		for _, s := range []struct {
			replicas, workers int
			faults            bool
		}{{1, 1, false}, {3, 5, false}, {3, 3, true}} {
			t.Run(fmt.Sprintf("%s, %d replicas, %d workers, faults %t", wire, s.replicas, s.workers, s.faults), func(t *testing.T) {
				c := Start(t, Config{Replicas: s.replicas, Workers: s.workers, ChunkFloats: 4096})
				job := c.Submit(job(2, 1)+"wire: "+wire+"\n", Small())
				if s.faults {
					c.WaitStep(job, 4)
					c.KillWorker("w2")
					c.Kill(c.Leader())
				}
				done := c.WaitDone(job)
				if want := digests[wire]; want != "" && done.Digest != want {
					t.Errorf("digest %s, want %s", done.Digest, want)
				}
				digests[wire] = done.Digest
			})
		}
	}
	seen := map[string]bool{}
	for _, d := range digests {
		seen[d] = true
	}
	if len(seen) != 3 {
		t.Errorf("another wire, the same digest: %v", digests)
	}
}
