package data

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"convoy/digest"
)

// ErrMissing is in the chain of every error about content that a Store does not
// have, or no longer has because it was damaged.
var ErrMissing = errors.New("not in the store")

// Store keeps shards and manifests in a folder, each in a file named by its
// digest. Any number of goroutines and processes may use one folder: files
// appear whole, by rename, and are never changed.
type Store struct{ dir string }

// OpenStore opens the store in dir and creates what is missing of it.
func OpenStore(dir string) (*Store, error) {
	s := &Store{dir}
	for _, kind := range []string{shardFiles, manifestFiles} {
		if err := os.MkdirAll(filepath.Join(dir, kind), 0o755); err != nil {
			return nil, fmt.Errorf("open data store: %w: choose a folder that can be written", err)
		}
	}
	return s, nil
}

// The folders of a store.
const (
	shardFiles    = "shards"
	manifestFiles = "manifests"
)

func (s *Store) path(kind string, sum digest.Sum) string {
	return filepath.Join(s.dir, kind, sum.String())
}

// Put stores a shard, whose SHA-256 must be sha, and returns once it is on
// disk. A shard that is there already is not written again.
func (s *Store) Put(sha digest.Sum, b []byte) error {
	if len(b) > MaxShardBytes {
		return fmt.Errorf("put shard %.8s: %d bytes, want at most %d", sha, len(b), MaxShardBytes)
	}
	if s.Has(sha) {
		if _, err := s.Get(sha); err == nil {
			return nil
		}
	}
	if err := s.put(shardFiles, sha, b); err != nil {
		return fmt.Errorf("put shard %.8s: %w", sha, err)
	}
	return nil
}

// PutManifest stores a manifest under its digest. Its shards need not be there.
func (s *Store) PutManifest(m Manifest) error {
	if err := m.Check(); err != nil {
		return err
	}
	if err := s.put(manifestFiles, m.Digest(), m.Canonical()); err != nil {
		return fmt.Errorf("put manifest of %q: %w", m.Name, err)
	}
	return nil
}

// Has reports whether a shard is there; only Get tells whether it is whole.
func (s *Store) Has(sha digest.Sum) bool {
	info, err := os.Stat(s.path(shardFiles, sha))
	return err == nil && info.Mode().IsRegular()
}

// Lacking returns the shards of m that are not there with the right size, each
// once.
func (s *Store) Lacking(m Manifest) []Shard {
	var lacking []Shard
	seen := map[string]bool{}
	for _, shard := range m.Shards {
		info, err := os.Stat(s.path(shardFiles, shard.Digest()))
		if (err != nil || info.Size() != int64(shard.Bytes)) && !seen[shard.SHA256] {
			seen[shard.SHA256] = true
			lacking = append(lacking, shard)
		}
	}
	return lacking
}

// Get returns a shard's bytes, which have been checked against their digest. A
// file that does not match is removed, so that the shard counts as missing and
// can be put again. The error wraps ErrMissing where the shard is not there or
// was damaged.
func (s *Store) Get(sha digest.Sum) ([]byte, error) {
	b, err := s.get(shardFiles, sha, MaxShardBytes)
	if err != nil {
		return nil, fmt.Errorf("get shard %.8s: %w", sha, err)
	}
	return b, nil
}

// Manifest returns the manifest with the given digest, checked as Get does.
func (s *Store) Manifest(sum digest.Sum) (Manifest, error) {
	b, err := s.get(manifestFiles, sum, MaxManifestBytes)
	if err != nil {
		return Manifest{}, fmt.Errorf("get manifest %.8s: %w", sum, err)
	}
	return ParseManifest(b)
}

func (s *Store) get(kind string, sum digest.Sum, limit int64) ([]byte, error) {
	path := s.path(kind, sum)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, err
	}
	var b []byte
	if info.Size() <= limit { // a longer file is damaged, without reading it
		if b, err = os.ReadFile(path); err != nil {
			return nil, err
		}
		if digest.Of(b) == sum {
			return b, nil
		}
	}
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("damaged on disk: %w: remove it", err)
	}
	return nil, fmt.Errorf("%s was damaged on disk and is removed: %w: fetch it again", path, ErrMissing)
}

// put writes b to a temporary file, syncs it, gives it its name and syncs the
// folder: after a crash the file is whole or absent.
func (s *Store) put(kind string, sum digest.Sum, b []byte) (err error) {
	if got := digest.Of(b); got != sum {
		return fmt.Errorf("content has digest %.8s: it was damaged on the way, send it again", got)
	}
	path := s.path(kind, sum)
	temp, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(b)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err = os.Chmod(temp.Name(), 0o644); err != nil {
		return err
	}
	if err = os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// Trim removes the shards that were put first until the others have at most
// limit bytes: what bounds a cache. Whoever wants a shard that is gone fetches it
// again.
func (s *Store) Trim(limit int64) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, shardFiles))
	if err != nil {
		return fmt.Errorf("trim data store: %w", err)
	}
	var files []fs.FileInfo
	total := int64(0)
	for _, e := range entries {
		// Another process may be trimming too.
		if info, err := e.Info(); err == nil && !strings.HasPrefix(e.Name(), tempPrefix) {
			files = append(files, info)
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range files {
		if total <= limit {
			return nil
		}
		if err := os.Remove(filepath.Join(s.dir, shardFiles, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("trim data store: %w", err)
		}
		total -= f.Size()
	}
	return nil
}

const tempPrefix = ".temp-"

// Sweep removes temporary files that a crash left behind. No Put may be under
// way in the folder, in this process or another.
func (s *Store) Sweep() error {
	for _, kind := range []string{shardFiles, manifestFiles} {
		entries, err := os.ReadDir(filepath.Join(s.dir, kind))
		if err != nil {
			return fmt.Errorf("sweep data store: %w", err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), tempPrefix) {
				if err := os.Remove(filepath.Join(s.dir, kind, e.Name())); err != nil {
					return fmt.Errorf("sweep data store: %w", err)
				}
			}
		}
	}
	return nil
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
