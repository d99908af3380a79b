package ps

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/hashicorp/raft"

	"convoy/digest"
)

// snapshotStore is Raft's store of snapshots in files, which has a checksum of
// the content; this adds one of what is said about it: up to which entry it goes,
// and which replicas there were.
type snapshotStore struct {
	*raft.FileSnapshotStore
	dir    string
	failed func(error) // told of a snapshot that cannot be written; does not block
}

const snapshotMagic = "convoy snapshot 1\n"

// headBytes is the length of what precedes the content.
const headBytes = len(snapshotMagic) + len(digest.Sum{})

// snapshotHead is what precedes the content of a snapshot.
func snapshotHead(index, term uint64, c raft.Configuration, configurationIndex uint64) []byte {
	h := sha256.New()
	for _, v := range []uint64{index, term, configurationIndex} {
		h.Write(binary.LittleEndian.AppendUint64(nil, v)) // a hash never fails
	}
	h.Write(raft.EncodeConfiguration(c))
	return h.Sum([]byte(snapshotMagic))
}

// Create begins a snapshot.
func (s *snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, c raft.Configuration, configurationIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.FileSnapshotStore.Create(version, index, term, c, configurationIndex, trans)
	if err == nil {
		_, err = sink.Write(snapshotHead(index, term, c, configurationIndex))
		if err != nil {
			err = errors.Join(err, sink.Cancel())
		}
	}
	if err != nil {
		return nil, s.fail(err)
	}
	return &snapshotSink{sink, s}, nil
}

func (s *snapshotStore) fail(err error) error {
	err = fmt.Errorf("write a Raft snapshot in %s: %w; free or repair the disk, and start this replica again", s.dir, err)
	s.failed(err)
	return err
}

// snapshotSink tells the store of writes that fail.
type snapshotSink struct {
	raft.SnapshotSink
	store *snapshotStore
}

func (s *snapshotSink) Write(b []byte) (int, error) {
	n, err := s.SnapshotSink.Write(b)
	if err != nil {
		err = s.store.fail(err)
	}
	return n, err
}

func (s *snapshotSink) Close() error {
	if err := s.SnapshotSink.Close(); err != nil {
		return s.store.fail(err)
	}
	return nil
}

// List returns the snapshots, newest first, without looking into them.
func (s *snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	list, err := s.FileSnapshotStore.List()
	for _, m := range list {
		m.Size -= int64(headBytes)
	}
	return list, err
}

// Open returns a snapshot that is as it was written.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, in, err := s.FileSnapshotStore.Open(id)
	if err != nil {
		return nil, nil, s.damaged(id, err)
	}
	b, err := io.ReadAll(in)
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, nil, s.damaged(id, err)
	}
	head := snapshotHead(meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex)
	if int64(len(b)) != meta.Size || !bytes.HasPrefix(b, head) {
		return nil, nil, s.damaged(id, errors.New("what it says of itself does not have the digest it was written with"))
	}
	meta.Size -= int64(headBytes)
	return meta, io.NopCloser(bytes.NewReader(b[headBytes:])), nil
}

func (s *snapshotStore) damaged(id string, err error) error {
	return fmt.Errorf("snapshot %s in %s: %w: it is damaged", id, s.dir, err)
}

// newest is the last entry of the newest snapshot that can be read, 0 without
// one; found is how many there are on disk.
func (s *snapshotStore) newest() (last uint64, found int, err error) {
	folders, err := filepath.Glob(filepath.Join(s.dir, "snapshots", "*-*-*[0-9]"))
	if err != nil {
		return 0, 0, err
	}
	list, err := s.List()
	if err != nil {
		return 0, 0, fmt.Errorf("list the Raft snapshots in %s: %w", s.dir, err)
	}
	for _, m := range list {
		if _, in, err := s.Open(m.ID); err == nil {
			return m.Index, len(folders), in.Close()
		}
	}
	return 0, len(folders), nil
}
