package clustertest

import (
	"strings"
	"testing"
)

// TestWindow mixes examples among two shards at a time. The model is the same
// whether workers hold the set, or load shards as they need them and drop them
// again, and another than where all examples are mixed.
func TestWindow(t *testing.T) {
	set := Sharded()
	file := strings.Replace(job(2, 1), "dir: .", "dir: ., window: 2", 1)
	digest := func(cfg Config, file string) string {
		c := Start(t, cfg)
		return c.WaitDone(c.Submit(file, set)).Digest
	}
	want := digest(Config{Workers: 1}, file)
	memory := set.Manifest.Needs(2)
	if memory >= set.Manifest.Bytes() {
		t.Fatalf("all %d bytes fit into %d", set.Manifest.Bytes(), memory)
	}
	for _, cfg := range []Config{
		{Workers: 1, DataMemory: memory},
		{Workers: 3, Threads: 2, DataMemory: memory},
		{Replicas: 3, Workers: 2, DataMemory: memory},
	} {
		if got := digest(cfg, file); got != want {
			t.Errorf("%+v: digest %s, want %s", cfg, got, want)
		}
	}
	if digest(Config{Workers: 1}, job(2, 1)) == want {
		t.Error("a window of two shards gives the model of a whole permutation")
	}
}
