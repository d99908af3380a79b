package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestImportFiles(t *testing.T) {
	from, to := writeFiles(t, tinyCIFAR10()), filepath.Join(t.TempDir(), "sets", "cifar")
	done, err := ImportFiles(context.Background(), "cifar10", from, to, Options{})
	if err != nil {
		t.Fatal(err)
	}
	source, err := Open("cifar10", from)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Open("cifar10", to)
	if err != nil {
		t.Fatal(err)
	}
	if want := source.Manifest.Digest(); done.Manifest.Digest() != want || set.Manifest.Digest() != want {
		t.Errorf("digests %s imported, %s opened, %s of the files", done.Manifest.Digest(), set.Manifest.Digest(), want)
	}
	sameExamples(t, source.Train, set.Train, cifarImage)
	sameExamples(t, source.Test, set.Test, cifarImage)

	_, err = Open("cifar", to)
	checkError(t, err, []string{`holds data set "cifar10", not "cifar"`})
	_, err = ImportFiles(context.Background(), "cifar10", from, to, Options{})
	checkError(t, err, []string{to, "is not empty"})
}

// TestOpenLarge opens a set as one is that does not fit into memory.
func TestOpenLarge(t *testing.T) {
	from, to := writeFiles(t, tinyCIFAR10()), filepath.Join(t.TempDir(), "set")
	done, err := ImportFiles(context.Background(), "cifar10", from, to, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := Open("cifar10", from)
	if err != nil {
		t.Fatal(err)
	}
	set, err := openLarge(done.Manifest, to)
	if err != nil {
		t.Fatal(err)
	}
	sameExamples(t, want.Train, set.Train, cifarImage)
	sameExamples(t, want.Test, set.Test, cifarImage)
	path := filepath.Join(to, shardFiles, done.Manifest.Shards[1].SHA256)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := set.Shard(done.Manifest.Shards[1]); err != nil || !bytes.Equal(got, b) {
		t.Errorf("shard 1 differs from its file, or %v", err)
	}
	b[2000] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = set.Shard(done.Manifest.Shards[1])
	checkError(t, err, []string{"was damaged"})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err = openLarge(done.Manifest, to)
	checkError(t, err, []string{to, "lacks 1 of the 2 shards"})
}

// TestImportLeavesNothing checks that an import that fails, at the first file or
// in the middle, or that is interrupted, leaves neither a set nor a part of one.
func TestImportLeavesNothing(t *testing.T) {
	interrupted, cancel := context.WithCancel(context.Background())
	cancel()
	whole := writeFiles(t, tinyCIFAR10())
	for name, c := range map[string]struct {
		ctx  context.Context
		from string
	}{
		"no files":    {context.Background(), t.TempDir()},
		"interrupted": {interrupted, whole},
	} {
		parent := t.TempDir()
		if _, err := ImportFiles(c.ctx, "x", c.from, filepath.Join(parent, "set"), Options{}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
}

func TestVerify(t *testing.T) {
	to := filepath.Join(t.TempDir(), "set")
	done, err := ImportFiles(context.Background(), "cifar10", writeFiles(t, tinyCIFAR10()), to, Options{})
	if err != nil {
		t.Fatal(err)
	}
	verify := func() (bad []string) {
		t.Helper()
		_, err := Verify(context.Background(), to, func(at int, s Shard, err error) { bad = append(bad, fmt.Sprint(at, s.Split)) })
		if err != nil {
			t.Fatal(err)
		}
		return bad
	}
	if bad := verify(); len(bad) != 0 {
		t.Errorf("a whole set is damaged at %v", bad)
	}
	path := func(at int) string { return filepath.Join(to, shardFiles, done.Manifest.Shards[at].SHA256) }
	b, err := os.ReadFile(path(0))
	if err != nil {
		t.Fatal(err)
	}
	b[2000] ^= 1
	if err := os.WriteFile(path(0), b, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path(1)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // looking changes nothing
		if bad := verify(); !slices.Equal(bad, []string{"0train", "1test"}) {
			t.Errorf("damaged at %v, want both shards", bad)
		}
	}
	_, err = Open("cifar10", to)
	checkError(t, err, []string{"was damaged", "coordinator data verify " + to})

	manifest := filepath.Join(to, manifestFiles, done.Manifest.Digest().String())
	if err := os.WriteFile(manifest, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Verify(context.Background(), to, nil)
	checkError(t, err, []string{manifest, "is damaged"})
	if err := os.Remove(manifest); err != nil {
		t.Fatal(err)
	}
	_, err = Open("cifar10", to)
	checkError(t, err, []string{"0 manifests, want 1"})
	_, err = Verify(context.Background(), t.TempDir(), nil)
	checkError(t, err, []string{"no imported set"})
	if errors.Is(err, os.ErrNotExist) {
		t.Error("the error should say what is wanted instead of which file is missing")
	}
}
