package data

import (
	"context"
	"strings"
	"testing"

	"convoy/digest"
)

// sourceOf is a set's shards as somebody else's.
type sourceOf struct {
	t   *testing.T
	set *Set
}

func (s sourceOf) Get(_ context.Context, sha digest.Sum) ([]byte, error) {
	for _, shard := range s.set.Manifest.Shards {
		if shard.Digest() == sha {
			return s.set.Shard(shard)
		}
	}
	s.t.Errorf("shard %s is none of the set's", sha)
	return nil, ErrMissing
}

func (s sourceOf) Trouble(err error) { s.t.Error(err) }

// TestOpenShards: a set that fits is in memory, another one lazy, if its windows
// fit; both have the same examples.
func TestOpenShards(t *testing.T) {
	about := Manifest{Name: "digits-16", Classes: 10, Channels: 1, Height: 28, Width: 28}
	whole, err := ImportInShards(about, beginning{Digits().Train, 12}, beginning{Digits().Test, 4}, 2<<10)
	if err != nil {
		t.Fatal(err)
	}
	size := whole.Manifest.Bytes()
	for name, c := range map[string]struct {
		window int
		limit  int64
		lazy   bool
		want   string
	}{
		"no limit":         {0, 0, false, ""},
		"it fits":          {0, size, false, ""},
		"in windows":       {1, size - 1, true, ""},
		"without a window": {0, size - 1, false, "set data.window in the job file"},
		"a wide window":    {100, size - 1, false, "lower data.window in the job file"},
	} {
		life, end := context.WithCancel(t.Context())
		set, lazy, err := OpenShards(t.Context(), life, whole.Manifest, c.window, c.limit, sourceOf{t, whole})
		switch {
		case c.want != "":
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		case err != nil || (lazy != nil) != c.lazy:
			t.Errorf("%s: lazy %t, %v", name, lazy != nil, err)
		default:
			a, b := make([]byte, 28*28), make([]byte, 28*28)
			for i := range 12 {
				if label := set.Train.Example(i, a); label != whole.Train.Example(i, b) || string(a) != string(b) {
					t.Errorf("%s: example %d is another one", name, i)
				}
			}
		}
		end()
	}
	if _, err := OpenBuiltin(digest.Of(nil)); err == nil || !strings.Contains(err.Error(), "run the same release everywhere") {
		t.Errorf("a built-in set of another release: %v", err)
	}
}

// beginning is the first n examples of a split.
type beginning struct {
	Split
	n int
}

func (f beginning) Len() int { return f.n }
