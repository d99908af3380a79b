package ps

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"sync"

	"github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/zeebo/xxh3"
)

// logStore is raft-wal, which believes its disk, with what finds damage: a
// checksum in each entry, which is compared whenever one is read and all over
// when the log is opened, and a seal beside the log, which knows how far it went
// and what its index held. A write that fails is final: what the system could not
// write it may have dropped, so that a later success would prove nothing
// (Rebello et al., "Can applications recover from fsync failures?", 2020).
type logStore struct {
	*raftwal.WAL
	dir    string
	seal   *seal
	failed func(error) // told of the first write that fails; does not block

	mu  sync.Mutex
	bad error // that write's
}

// openLog opens the log in dir and reads all of it. The error tells what does
// not fit; nothing is repaired.
func openLog(dir string, logger *hcLog, failed func(error)) (_ *logStore, err error) {
	s, err := openSeal(dir+sealSuffix, filepath.Join(dir, metadb.FileName))
	if err != nil {
		return nil, err
	}
	index := &sealedIndex{seal: s}
	l := &logStore{dir: dir, seal: s, failed: failed}
	// What raft-wal makes of damaged files includes reads beyond a mapped one.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its files are damaged: %v", p)
		}
		if err != nil {
			err = errors.Join(err, closeLog(l, index))
		}
	}()
	if err := finishRotation(dir, index); err != nil {
		return nil, err
	}
	l.WAL, err = raftwal.Open(dir, raftwal.WithMetaStore(index), raftwal.WithSegmentSize(segmentBytes), raftwal.WithLogger(logger.Named("wal")))
	if err != nil {
		return nil, err
	}
	return l, l.verify()
}

// closeLog closes what openLog has opened before it failed.
func closeLog(l *logStore, index *sealedIndex) (err error) {
	if l.WAL != nil {
		err = l.WAL.Close()
	}
	return errors.Join(err, index.Close(), l.seal.close())
}

// verify reads every entry, and compares the last with what the seal has.
func (l *logStore) verify() error {
	first, last, err := l.bounds()
	if err != nil {
		return err
	}
	if last < l.seal.last {
		return fmt.Errorf("it ends with entry %d, and entry %d was in it: its tail is damaged", last, l.seal.last)
	}
	for i := first; i <= last && last > 0; i++ {
		if err := l.GetLog(i, new(raft.Log)); err != nil {
			return err
		}
	}
	return l.seal.setLast(last, false)
}

func (l *logStore) bounds() (first, last uint64, err error) {
	if first, err = l.FirstIndex(); err == nil {
		last, err = l.LastIndex()
	}
	return first, last, err
}

// sumBytes is the length of the checksum that ends an entry's extensions.
const sumBytes = 8

// entrySum covers what an entry says, its time left out.
func entrySum(e *raft.Log, extensions []byte) uint64 {
	b := make([]byte, 0, 3*8+8+len(e.Data)+len(extensions))
	for _, v := range []uint64{e.Index, e.Term, uint64(e.Type), uint64(len(e.Data))} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return xxh3.Hash(append(append(b, e.Data...), extensions...))
}

// GetLog reads an entry and compares it with its checksum.
func (l *logStore) GetLog(index uint64, e *raft.Log) error {
	if err := l.WAL.GetLog(index, e); err != nil {
		if errors.Is(err, raft.ErrLogNotFound) {
			return err
		}
		return fmt.Errorf("entry %d of the Raft log in %s: %w", index, l.dir, err)
	}
	n := len(e.Extensions) - sumBytes
	if n < 0 || e.Index != index || binary.LittleEndian.Uint64(e.Extensions[n:]) != entrySum(e, e.Extensions[:n]) {
		return fmt.Errorf("entry %d of the Raft log in %s does not have the checksum it was written with: it is damaged", index, l.dir)
	}
	e.Extensions = e.Extensions[:n:n]
	if n == 0 {
		e.Extensions = nil
	}
	return nil
}

// StoreLog appends an entry.
func (l *logStore) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs appends entries with their checksums; they are durable when it
// returns.
func (l *logStore) StoreLogs(entries []*raft.Log) error {
	sealed := make([]*raft.Log, len(entries))
	for i, e := range entries {
		s := *e
		s.Extensions = binary.LittleEndian.AppendUint64(append(make([]byte, 0, len(e.Extensions)+sumBytes), e.Extensions...), entrySum(e, e.Extensions))
		sealed[i] = &s
	}
	return l.write(func() error {
		if err := l.WAL.StoreLogs(sealed); err != nil || len(entries) == 0 {
			return err
		}
		return l.seal.setLast(entries[len(entries)-1].Index, false)
	})
}

// DeleteRange deletes the beginning or the end of the log.
func (l *logStore) DeleteRange(low, high uint64) error {
	return l.write(func() error {
		first, last, err := l.bounds()
		if err != nil {
			return err
		}
		if high >= last && low <= last { // the end goes: the seal must not miss it
			left := low - 1
			if low <= first {
				left = 0
			}
			if err := l.seal.setLast(left, true); err != nil {
				return err
			}
		}
		return l.WAL.DeleteRange(low, high)
	})
}

// Set keeps a value.
func (l *logStore) Set(key, value []byte) error {
	return l.write(func() error { return l.WAL.Set(key, value) })
}

// SetUint64 keeps a number.
func (l *logStore) SetUint64(key []byte, value uint64) error {
	return l.write(func() error { return l.WAL.SetUint64(key, value) })
}

// write carries a write out, unless one has failed before.
func (l *logStore) write(do func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bad != nil {
		return l.bad
	}
	if err := do(); err != nil {
		l.bad = fmt.Errorf("write the Raft log in %s: %w; free or repair the disk, and start this replica again", l.dir, err)
		l.failed(l.bad)
	}
	return l.bad
}

func (l *logStore) Close() error {
	return errors.Join(l.WAL.Close(), l.seal.index.Close(), l.seal.close())
}

// covers reports why a log cannot follow on the snapshots: entries between the
// newest that can be read and the first entry of the log are gone.
func (l *logStore) covers(snapshots *snapshotStore) error {
	first, last, err := l.bounds()
	if err != nil {
		return err
	}
	newest, found, err := snapshots.newest()
	if err != nil {
		return err
	}
	if (last > 0 && first > newest+1) || (last == 0 && newest == 0 && found > 0) {
		return fmt.Errorf("the log in %s begins with entry %d, and of %d snapshots the newest that can be read ends with entry %d: a snapshot is damaged or gone", l.dir, first, found, newest)
	}
	return nil
}
