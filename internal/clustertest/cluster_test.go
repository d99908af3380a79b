package clustertest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"convoy/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// job is a job of so many epochs of 13 training steps (6 with -short), the last of
// 3 examples for 8 micro-batches, and an evaluation.
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

// TestOneHashOfChangedImages: examples are changed at random, resized and
// normalised by whoever computes them, to the same bits.
func TestOneHashOfChangedImages(t *testing.T) {
	plain := job(2, 1)
	augmented := plain + "input: {resize: 30x26, pad: 1, normalize: dataset}\naugment: {flip: true, crop: 3, brightness: 0.3, contrast: 0.3}\n"
	want := hashOf(t, Config{Workers: 1, Threads: 2}, augmented)
	for _, cfg := range []Config{{Workers: 1, Threads: 1}, {Replicas: 3, Workers: 3, Threads: 1}} {
		if got := hashOf(t, cfg, augmented); got != want {
			t.Errorf("%+v: digest %s, want %s", cfg, got, want)
		}
	}
	if hashOf(t, Config{Workers: 1}, plain) == want {
		t.Error("the changes change nothing")
	}
}

func TestAnotherSeedGivesAnotherHash(t *testing.T) {
	c := Start(t, Config{Workers: 1})
	one, two := c.Submit(job(1, 1), Small()), c.Submit(job(1, 2), Small())
	if a, b := c.WaitDone(one).Digest, c.WaitDone(two).Digest; a == b {
		t.Errorf("seeds 1 and 2 both give %s", a)
	}
}

// TestManyChunks sends every gradient and partial in more chunks than a window
// holds, so that credits have to flow.
func TestManyChunks(t *testing.T) {
	want := hashOf(t, Config{Workers: 1}, job(1, 1))
	if got := hashOf(t, Config{Replicas: 3, Workers: 2, ChunkFloats: 512}, job(1, 1)); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

func hashOf(t *testing.T, cfg Config, file string) string {
	t.Helper()
	c := Start(t, cfg)
	return c.WaitDone(c.Submit(file, Small())).Digest
}

// TestCancelLetsTheNextJobRun cancels a running job: it ends where it is, and
// the one that waited behind it runs to its end.
func TestCancelLetsTheNextJobRun(t *testing.T) {
	c := Start(t, Config{Replicas: 3, Workers: 2})
	long, next := c.Submit(job(1000, 1), Small()), c.Submit(job(1, 1), Small())
	c.WaitStep(long, 5)
	c.Cancel(long)
	if s := c.WaitEnd(long); s.Phase != api.Phase_PHASE_CANCELLED || s.Step >= s.Steps {
		t.Errorf("the job ended as %v at step %d of %d, want cancelled", s.Phase, s.Step, s.Steps)
	}
	if got, want := c.WaitDone(next).Digest, hashOf(t, Config{Workers: 1}, job(1, 1)); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// TestDivergenceEndsTheJob trains with a rate at which the loss overflows: the
// job fails at that step, and says what to do.
func TestDivergenceEndsTheJob(t *testing.T) {
	c := Start(t, Config{Workers: 1})
	s := c.WaitEnd(c.Submit("model: lenet-relu\ndata: {name: small, dir: .}\nepochs: 2\nbatch: 8\noptimizer: {lr: 1e30}\n", Small()))
	if s.Phase != api.Phase_PHASE_FAILED || !strings.Contains(s.Reason, "diverged at step") {
		t.Errorf("the job ended as %v: %q", s.Phase, s.Reason)
	}
}
