package data

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"convoy/digest"
)

// An imported set is a Store that holds one manifest and its shards. It appears
// whole, under its name, or not at all.

// Imported is what ImportFiles found and wrote.
type Imported struct {
	Manifest Manifest
	Skipped  []string // files that were left out, each with the reason
}

// ImportFiles reads the set called name from the files in from and writes it to
// the folder to, which must be new or empty. An error, or the end of ctx,
// leaves nothing there.
func ImportFiles(ctx context.Context, name, from, to string, o Options) (done Imported, err error) {
	if entries, err := os.ReadDir(to); err == nil && len(entries) > 0 {
		return Imported{}, fmt.Errorf("%s is not empty: name a folder that is new or empty", to)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Imported{}, fmt.Errorf("%w: name a folder that is new or empty", err)
	}
	s, err := openSource(ctx, name, from, o)
	if err != nil {
		return Imported{}, err
	}
	parent := filepath.Dir(filepath.Clean(to))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return Imported{}, err
	}
	temp, err := os.MkdirTemp(parent, tempPrefix+filepath.Base(to)+"-*")
	if err != nil {
		return Imported{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	m, err := s.write(ctx, temp)
	if err != nil {
		return Imported{}, fmt.Errorf("data set %q: %w", name, err)
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return Imported{}, err
	}
	if err := os.Rename(temp, to); err != nil {
		return Imported{}, err
	}
	return Imported{Manifest: m, Skipped: s.skipped}, syncFolder(parent)
}

// write fills the folder of a store with the set.
func (s source) write(ctx context.Context, dir string) (Manifest, error) {
	store, err := OpenStore(dir)
	if err != nil {
		return Manifest{}, err
	}
	m, err := s.build(ctx, func(_ int, shard Shard, b []byte) error { return store.Put(shard.Digest(), b) })
	if err != nil {
		return Manifest{}, err
	}
	return m, store.PutManifest(m)
}

// IsImported reports whether dir holds an imported set.
func IsImported(dir string) bool {
	for _, kind := range []string{shardFiles, manifestFiles} {
		if info, err := os.Stat(filepath.Join(dir, kind)); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// importedManifest reads the manifest of the set in dir without changing
// anything there.
func importedManifest(dir string) (Manifest, error) {
	entries, err := os.ReadDir(filepath.Join(dir, manifestFiles))
	if err != nil {
		return Manifest{}, err
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	if len(names) != 1 {
		return Manifest{}, fmt.Errorf("%s holds %d manifests, want 1: name a folder that `coordinator data import` wrote", dir, len(names))
	}
	path := filepath.Join(dir, manifestFiles, names[0])
	b, err := readBounded(path, MaxManifestBytes)
	if err != nil {
		return Manifest{}, err
	}
	if got := digest.Of(b).String(); got != names[0] {
		return Manifest{}, fmt.Errorf("manifest %s has digest %.8s: it is damaged, import the data set again", path, got)
	}
	return ParseManifest(b)
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d: it is damaged, import the data set again", path, info.Size(), limit)
	}
	return os.ReadFile(path)
}

// openImported opens the imported set in dir, whose name must be name.
func openImported(name, dir string) (*Set, error) {
	m, err := importedManifest(dir)
	if err != nil {
		return nil, fmt.Errorf("data set %q: %w", name, err)
	}
	if m.Name != name {
		return nil, fmt.Errorf("%s holds data set %q, not %q: give it by that name", dir, m.Name, name)
	}
	if m.Bytes() > MaxResidentBytes {
		return openLarge(m, dir)
	}
	set, err := FromShards(m, func(sha digest.Sum) ([]byte, error) { return importedShard(dir, sha) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w; `coordinator data verify %s` lists all that is damaged", dir, err, dir)
	}
	return set, nil
}

// openLarge opens a set that is not held in memory: that all shards are there
// is checked at once, what they hold when they are read.
func openLarge(m Manifest, dir string) (*Set, error) {
	if lacking := (&Store{dir}).Lacking(m); len(lacking) > 0 {
		return nil, fmt.Errorf("%s lacks %d of the %d shards of %q: import the data set again", dir, len(lacking), len(m.Shards), m.Name)
	}
	lazy, err := Lazily(context.Background(), m, MaxResidentBytes/4, folderSource(dir))
	if err != nil {
		return nil, err
	}
	set := lazy.Set()
	set.stored = func(s Shard) ([]byte, error) {
		b, err := importedShard(dir, s.Digest())
		if err == nil {
			_, _, err = decodeShard(b, m, s)
		}
		return b, err
	}
	return set, nil
}

// folderSource is an imported set's folder as a source of shards.
type folderSource string

func (dir folderSource) Get(_ context.Context, sha digest.Sum) ([]byte, error) {
	return importedShard(string(dir), sha)
}

// Trouble gives up: the shard was there when the set was opened, and nobody is
// asked to bring it back.
func (dir folderSource) Trouble(err error) {
	panic(fmt.Sprintf("data: %s: %v: `coordinator data verify` lists all that is damaged", string(dir), err))
}

func importedShard(dir string, sha digest.Sum) ([]byte, error) {
	return readBounded(filepath.Join(dir, shardFiles, sha.String()), MaxShardBytes)
}

// Verify reads every shard of the imported set in dir and calls damaged for
// each that is missing or not what the manifest says. Nothing is changed. The
// error is that of a set that cannot be looked at.
func Verify(ctx context.Context, dir string, damaged func(at int, s Shard, err error)) (Manifest, error) {
	if !IsImported(dir) {
		return Manifest{}, fmt.Errorf("%s holds no imported set: name a folder that `coordinator data import` wrote", dir)
	}
	m, err := importedManifest(dir)
	if err != nil {
		return Manifest{}, err
	}
	for at, s := range m.Shards {
		if err := ctx.Err(); err != nil {
			return m, err
		}
		b, err := importedShard(dir, s.Digest())
		if err == nil {
			_, _, err = decodeShard(b, m, s)
		}
		if err != nil {
			damaged(at, s, err)
		}
	}
	return m, nil
}
