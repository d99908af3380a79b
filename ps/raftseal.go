package ps

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
	"github.com/zeebo/xxh3"

	"convoy/digest"
)

// seal is a small file beside the Raft log with what the log cannot tell of
// itself: how far it went, for a damaged tail looks like one that was never
// written, and the digest of its index, a database whose pages have no checksums.
//
// It never says more than is so. The last entry is set once that is durable, and
// lowered, durably, before entries are deleted. The index counts as unknown,
// durably, while it is being written. So a crash at any point leaves a seal that
// fits, and a damaged seal is made anew: the log is not damaged then.
type seal struct {
	path  string
	file  *os.File
	index metadb.BoltMetaDB
	// indexPath is the file of the index.
	indexPath string

	mu    sync.Mutex
	last  uint64     // index of the last entry
	clean bool       // sum is the index's digest
	sum   digest.Sum // of the index's file
}

const (
	sealSuffix = ".seal"
	sealMagic  = "convoy seal 1\n\x00\x00"
	sealSize   = len(sealMagic) + 8 + 8 + len(digest.Sum{}) + 8
)

// openSeal reads the seal at path, or begins one, and compares the index with it.
func openSeal(path, indexPath string) (*seal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	s := &seal{path: path, file: f, indexPath: indexPath}
	if err := s.check(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *seal) check() error {
	b := make([]byte, sealSize)
	if _, err := s.file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	body := b[:sealSize-8]
	if string(b[:len(sealMagic)]) != sealMagic || xxh3.Hash(body) != binary.LittleEndian.Uint64(b[len(body):]) {
		return s.write(true) // there was none, or it is damaged
	}
	fields := b[len(sealMagic):]
	s.last = binary.LittleEndian.Uint64(fields)
	s.clean = binary.LittleEndian.Uint64(fields[8:]) == 1
	copy(s.sum[:], fields[16:])
	have, err := s.indexSum()
	if errors.Is(err, fs.ErrNotExist) && (s.clean || s.last > 0) {
		return fmt.Errorf("%s is gone", s.indexPath)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.clean && have != s.sum {
		return fmt.Errorf("%s does not have the digest it was written with: it is damaged", s.indexPath)
	}
	return nil
}

func (s *seal) indexSum() (digest.Sum, error) {
	b, err := os.ReadFile(s.indexPath)
	return digest.Of(b), err
}

// write writes the seal; with sync it is durable when it returns.
func (s *seal) write(sync bool) error {
	b := append(make([]byte, 0, sealSize), sealMagic...)
	b = binary.LittleEndian.AppendUint64(b, s.last)
	clean := uint64(0)
	if s.clean {
		clean = 1
	}
	b = append(binary.LittleEndian.AppendUint64(b, clean), s.sum[:]...)
	b = binary.LittleEndian.AppendUint64(b, xxh3.Hash(b))
	_, err := s.file.WriteAt(b, 0)
	if err == nil && sync {
		err = s.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	return nil
}

// setLast notes the last entry of the log.
func (s *seal) setLast(last uint64, sync bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = last
	return s.write(sync)
}

// around writes the index by do, and then notes its digest.
func (s *seal) around(do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clean = false
	if err := s.write(true); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	var err error
	if s.sum, err = s.indexSum(); err != nil {
		return err
	}
	s.clean = true
	return s.write(false)
}

func (s *seal) close() error { return s.file.Close() }

// sealedIndex is raft-wal's index, whose writes go through the seal.
type sealedIndex struct{ seal *seal }

// Load opens the index. One that is not there is made, which the seal then knows.
func (x *sealedIndex) Load(dir string) (state types.PersistentState, err error) {
	if _, err := os.Stat(filepath.Join(dir, metadb.FileName)); err == nil {
		return x.seal.index.Load(dir)
	}
	err = x.seal.around(func() (err error) {
		state, err = x.seal.index.Load(dir)
		return err
	})
	return state, err
}

// CommitState writes the list of segments.
func (x *sealedIndex) CommitState(state types.PersistentState) error {
	return x.seal.around(func() error { return x.seal.index.CommitState(state) })
}

// GetStable reads a value.
func (x *sealedIndex) GetStable(key []byte) ([]byte, error) { return x.seal.index.GetStable(key) }

// SetStable writes a value.
func (x *sealedIndex) SetStable(key, value []byte) error {
	return x.seal.around(func() error { return x.seal.index.SetStable(key, value) })
}

// Close closes the index.
func (x *sealedIndex) Close() error { return x.seal.index.Close() }
