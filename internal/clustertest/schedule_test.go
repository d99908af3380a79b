package clustertest

import (
	"regexp"
	"strings"
	"testing"
)

// scheduledJob uses all of the optimizer at once: steps of the warm-up, of the
// cosine behind it, and gradients that are clipped and others that are not.
const scheduledJob = `model: lenet-relu
data: {name: small, dir: .}
epochs: 6
batch: 8
seed: 3
optimizer: {lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.01, decay_biases: false, clip_norm: 1.5}
schedule: {type: cosine, final_lr: 0.001, warmup_epochs: 1, scale_batch: 16}
checkpoint: {every: 5}
`

// TestOneScheduleOneHash: whoever computes, and though all replicas lose their
// memory in the middle of the cosine and go on from a checkpoint.
func TestOneScheduleOneHash(t *testing.T) {
	want := hashOf(t, Config{Workers: 1}, scheduledJob)
	if got := hashOf(t, Config{Workers: 3, Threads: 2}, scheduledJob); got != want {
		t.Errorf("3 workers: digest %s, want %s", got, want)
	}
	for _, other := range []string{"clip_norm: 0", "decay_biases: true", "nesterov: false"} {
		key, _, _ := strings.Cut(other, ":")
		file := regexp.MustCompile(key+": [a-z0-9.]+").ReplaceAllString(scheduledJob, other)
		if got := hashOf(t, Config{Workers: 1}, file); got == want {
			t.Errorf("%s changes nothing", other)
		}
	}
	c := Start(t, Config{Replicas: 3, Workers: 3, ChunkFloats: 4096})
	job := c.Submit(scheduledJob, Small())
	c.WaitStep(job, 20)
	for _, id := range []string{"r1", "r2", "r3"} {
		c.Kill(id)
	}
	for _, id := range []string{"r1", "r2", "r3"} {
		c.Restart(id)
	}
	done := c.WaitDone(job)
	if done.Digest != want {
		t.Errorf("from a checkpoint: digest %s, want %s", done.Digest, want)
	}
	if !done.HasTestTop5 || done.TestTop5 < done.TestAccuracy || done.TestTop5 > 1 {
		t.Errorf("top-5 accuracy %v (shown: %t) above top-1 %v", done.TestTop5, done.HasTestTop5, done.TestAccuracy)
	}
	checkLedger(t, c.Rows(job), done)
}
