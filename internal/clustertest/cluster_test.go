package clustertest

import (
	"bytes"
	"fmt"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// job is a job of so many epochs of 13 training steps, the last of 3 examples for
// 8 micro-batches, and an evaluation.
func job(epochs int, seed int) string {
	return fmt.Sprintf("model: lenet-relu\ndata: {name: small, dir: .}\nepochs: %d\nbatch: 8\nseed: %d\noptimizer: {lr: 0.05, momentum: 0.5}\n", epochs, seed)
}

// outcome is what must be the same wherever a job runs.
type outcome struct {
	digest string
	model  []byte
}

func TestOneJobOneHash(t *testing.T) {
	var want outcome
	for _, replicas := range []int{1, 3} {
		for _, workers := range []int{1, 2, 3, 5} {
			for _, threads := range []int{1, 2} {
				t.Run(fmt.Sprintf("%d replicas %d workers %d threads", replicas, workers, threads), func(t *testing.T) {
					c := Start(t, Config{Replicas: replicas, Workers: workers, Threads: threads, ChunkFloats: 4096})
					job := c.Submit(job(2, 1), Small())
					got := outcome{c.WaitDone(job).Digest, c.Model(job)}
					if want.digest == "" {
						want = got
					}
					if got.digest != want.digest || !bytes.Equal(got.model, want.model) {
						t.Errorf("digest %s, want %s; models equal: %v", got.digest, want.digest, bytes.Equal(got.model, want.model))
					}
				})
			}
		}
	}
}

func TestAnotherSeedGivesAnotherHash(t *testing.T) {
	c := Start(t, Config{Workers: 1})
	one, two := c.Submit(job(1, 1), Small()), c.Submit(job(1, 2), Small())
	if a, b := c.WaitDone(one).Digest, c.WaitDone(two).Digest; a == b {
		t.Errorf("seeds 1 and 2 both give %s", a)
	}
}
