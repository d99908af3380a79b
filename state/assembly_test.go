package state

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Chunks give the vector back in whatever order and how often they come.
func TestAssemblyTakesAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 50).Draw(t, "floats")
		chunks := rapid.IntRange(1, n).Draw(t, "chunks")
		want := make([]float32, n)
		for i := range want {
			want[i] = float32(i + 1)
		}
		order := append(rapid.Permutation(upTo(chunks)).Draw(t, "order"), 0, chunks-1)
		a := NewAssembly(chunks)
		seen := map[int]bool{}
		for _, i := range order {
			low, high := Chunk(n, chunks, i)
			fresh, err := a.Add(n, chunks, i, want[low:high])
			if err != nil || fresh == seen[i] {
				t.Fatalf("chunk %d, seen before: %v: fresh %v, %v", i, seen[i], fresh, err)
			}
			seen[i] = true
			if a.Count() != len(seen) || a.Complete() != (len(seen) == chunks) {
				t.Fatalf("%d different chunks of %d: count %d, complete %v", len(seen), chunks, a.Count(), a.Complete())
			}
		}
		if !slices.Equal(a.Data(), want) {
			t.Fatalf("got %v", a.Data())
		}
	})
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func TestAssemblyRefuses(t *testing.T) {
	for name, c := range map[string]struct{ chunks, i, floats int }{
		"another cut":      {4, 0, 3},
		"below the first":  {3, -1, 3},
		"beyond the last":  {3, 3, 3},
		"a short chunk":    {3, 0, 2},
		"a long chunk":     {3, 0, 4},
		"an empty chunk":   {3, 0, 0},
		"the wrong length": {3, 2, 3}, // the last of 11 floats has 4
	} {
		a := NewAssembly(3)
		if fresh, err := a.Add(11, c.chunks, c.i, make([]float32, c.floats)); err == nil || fresh || a.Count() != 0 {
			t.Errorf("%s: fresh %v, %v, count %d", name, fresh, err, a.Count())
		}
	}
}
