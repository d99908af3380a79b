package data

import (
	"bytes"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"convoy/digest"
)

// counted is a split whose example i is all bytes i, of label i modulo 7.
type counted struct{ n, size int }

func (c counted) Len() int { return c.n }

func (c counted) Example(i int, pixels []byte) int {
	copy(pixels, bytes.Repeat([]byte{byte(i)}, c.size))
	return i % 7
}

// bigImages is a set of two training shards and one test shard.
func bigImages(t testing.TB) *Set {
	t.Helper()
	const size = 3 * 500 * 500
	about := Manifest{Name: "big", Classes: 7, ClassNames: strings.Split("abcdefg", ""), Channels: 3, Height: 500, Width: 500}
	set, err := Import(about, counted{7, size}, counted{2, size})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestShards(t *testing.T) {
	set := bigImages(t)
	if n := len(set.Manifest.Shards); n != 3 {
		t.Fatalf("%d shards, want 3", n)
	}
	store := openStore(t)
	if lacking := store.Lacking(set.Manifest); len(lacking) != 3 {
		t.Errorf("an empty store lacks %d of 3 shards", len(lacking))
	}
	for shard, b := range shardsOfSet(t, set) {
		if len(b) != shard.Bytes || len(b) > 4<<20 {
			t.Errorf("shard of %d bytes, manifest says %d", len(b), shard.Bytes)
		}
		if err := store.Put(shard.Digest(), b); err != nil {
			t.Fatal(err)
		}
	}
	if lacking := store.Lacking(set.Manifest); len(lacking) != 0 {
		t.Errorf("a full store lacks %d shards", len(lacking))
	}
	again, err := FromShards(set.Manifest, store.Get)
	if err != nil {
		t.Fatal(err)
	}
	sameExamples(t, set.Train, again.Train, set.Manifest.ImageBytes())
	sameExamples(t, set.Test, again.Test, set.Manifest.ImageBytes())
	second, err := Import(Manifest{
		Name: "big", Classes: 7, ClassNames: set.Manifest.ClassNames, Channels: 3, Height: 500, Width: 500,
	}, again.Train, again.Test)
	if err != nil || second.Manifest.Digest() != set.Manifest.Digest() {
		t.Errorf("imported from shards: %v, digest %v, want %v", err, second.Manifest.Digest(), set.Manifest.Digest())
	}
}

// shardsOfSet yields the shards of a set.
func shardsOfSet(t testing.TB, set *Set) iter.Seq2[Shard, []byte] {
	return func(yield func(Shard, []byte) bool) {
		for _, shard := range set.Manifest.Shards {
			b, err := set.Shard(shard)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(shard, b) {
				return
			}
		}
	}
}

func sameExamples(t *testing.T, a, b Split, size int) {
	t.Helper()
	if a.Len() != b.Len() {
		t.Fatalf("%d examples against %d", a.Len(), b.Len())
	}
	pa, pb := make([]byte, size), make([]byte, size)
	for i := range a.Len() {
		if la, lb := a.Example(i, pa), b.Example(i, pb); la != lb || !bytes.Equal(pa, pb) {
			t.Errorf("example %d differs: labels %d and %d", i, la, lb)
		}
	}
}

func TestImportChecksLabels(t *testing.T) {
	for _, classes := range []int{1, 6} {
		_, err := Import(Manifest{Name: "c", Classes: classes, Channels: 1, Height: 1, Width: 1}, counted{9, 1}, counted{9, 1})
		checkError(t, err, []string{"train example", "label"})
	}
	_, err := Import(Manifest{Name: "c", Classes: 7, Channels: 1, Height: 1, Width: 1}, counted{9, 1}, counted{0, 1})
	checkError(t, err, []string{"test is 0"})
}

func TestFromShardsErrors(t *testing.T) {
	set := bigImages(t)
	first, err := set.Shard(set.Manifest.Shards[0])
	if err != nil {
		t.Fatal(err)
	}
	missing := errors.New("gone")
	for name, c := range map[string]struct {
		get  func() ([]byte, error)
		want string
	}{
		"missing":   {func() ([]byte, error) { return nil, missing }, "gone"},
		"short":     {func() ([]byte, error) { return first[:100], nil }, "has 100 bytes"},
		"damaged":   {func() ([]byte, error) { b := bytes.Clone(first); b[5000] ^= 1; return b, nil }, "was damaged"},
		"no header": {func() ([]byte, error) { return make([]byte, len(first)), nil }, "not what its manifest says"},
		"bad label": {func() ([]byte, error) { b := bytes.Clone(first); b[len(b)-2] = 7; return b, nil }, "has label 7"},
	} {
		t.Run(name, func(t *testing.T) {
			m := set.Manifest
			m.Shards = append([]Shard(nil), m.Shards...)
			if b, err := c.get(); err == nil && name != "damaged" {
				m.Shards[0].SHA256 = digest.Of(b).String() // wrong in itself, not on the way
			}
			_, err := FromShards(m, func(digest.Sum) ([]byte, error) { return c.get() })
			checkError(t, err, []string{c.want})
		})
	}
}

func openStore(t testing.TB) *Store {
	t.Helper()
	store, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestStore(t *testing.T) {
	store := openStore(t)
	content := []byte("some content")
	sum := digest.Of(content)
	if _, err := store.Get(sum); !errors.Is(err, ErrMissing) || store.Has(sum) {
		t.Errorf("get from an empty store: %v", err)
	}
	checkError(t, store.Put(sum, []byte("other")), []string{"has digest", "send it again"})
	for range 2 {
		if err := store.Put(sum, content); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := store.Get(sum); err != nil || !bytes.Equal(b, content) || !store.Has(sum) {
		t.Errorf("got %q, %v", b, err)
	}

	path := store.path(shardFiles, sum)
	for name, damaged := range map[string][]byte{"bit": []byte("some_content"), "short": content[:3], "long": make([]byte, MaxShardBytes+1)} {
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := store.Get(sum)
		checkError(t, err, []string{path, "damaged", "fetch it again"})
		if !errors.Is(err, ErrMissing) || store.Has(sum) {
			t.Errorf("%s: a damaged file still counts: %v", name, err)
		}
	}
	if err := os.WriteFile(path, content[:3], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := store.Put(sum, content); err != nil {
		t.Fatal(err)
	}
	if b, err := store.Get(sum); err != nil || !bytes.Equal(b, content) {
		t.Errorf("put over a damaged file: got %q, %v", b, err)
	}
	if files, err := filepath.Glob(filepath.Join(store.dir, "*", tempPrefix+"*")); err != nil || len(files) != 0 {
		t.Errorf("temporary files are left: %v %v", files, err)
	}
}

func TestStoreManifest(t *testing.T) {
	store, m := openStore(t), bigImages(t).Manifest
	if _, err := store.Manifest(m.Digest()); !errors.Is(err, ErrMissing) {
		t.Errorf("manifest of an empty store: %v", err)
	}
	if err := store.PutManifest(m); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Manifest(m.Digest()); err != nil || got.Digest() != m.Digest() {
		t.Errorf("got %v, %v", got, err)
	}
	m.Train++
	checkError(t, store.PutManifest(m), []string{"shards hold 7 training"})
}

func TestStoreSweep(t *testing.T) {
	store := openStore(t)
	stale := filepath.Join(store.dir, shardFiles, tempPrefix+"123")
	if err := os.WriteFile(stale, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := store.Put(digest.Of(nil), nil); err != nil {
		t.Fatal(err)
	}
	if err := store.Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) || !store.Has(digest.Of(nil)) {
		t.Errorf("after a sweep: %v, shard %v", err, store.Has(digest.Of(nil)))
	}
}

func TestStoreTrim(t *testing.T) {
	store := openStore(t)
	var sums []digest.Sum
	for i := range 4 {
		content := bytes.Repeat([]byte{byte(i)}, 100)
		sums = append(sums, digest.Of(content))
		if err := store.Put(sums[i], content); err != nil {
			t.Fatal(err)
		}
		put := time.Unix(int64(1000+i), 0) // file systems may be coarse
		if err := os.Chtimes(store.path(shardFiles, sums[i]), put, put); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		limit int64
		left  [4]bool
	}{{400, [4]bool{true, true, true, true}}, {399, [4]bool{false, true, true, true}}, {100, [4]bool{false, false, false, true}}, {0, [4]bool{}}} {
		if err := store.Trim(c.limit); err != nil {
			t.Fatal(err)
		}
		for i, sum := range sums {
			if store.Has(sum) != c.left[i] {
				t.Errorf("trimmed to %d bytes: shard %d is there: %v", c.limit, i, store.Has(sum))
			}
		}
	}
}

func TestStoreConcurrently(t *testing.T) {
	store := openStore(t)
	content := bytes.Repeat([]byte("x"), 100_000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := store.Put(digest.Of(content), content); err != nil {
				t.Error(err)
			}
			if _, err := store.Get(digest.Of(content)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
