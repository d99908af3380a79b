// Package ledger owns a job's record on a replica's disk: one row for every
// committed step, in a file that only grows.
//
// It promises that what it hands out is what was appended: each row has a
// checksum, and two hash chains tie the rows together (Haber and Stornetta, "How
// to time-stamp a digital document", 1991). The result chain is the same in
// every run of a recipe; the record chain adds who computed what. A crash may
// tear the last rows that were not synced: Open cuts them off and says so, and
// they are appended again from Raft or from a peer. Rows may be read while others
// are appended; that the file has one owner is for the caller to see to.
package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/digest"
)

// The file begins with magic, c(0) and the xxh3 of both. A record is the length
// of its row (4 bytes), the row's xxh3 (8 bytes) and the row as protobuf; all
// numbers are little-endian.
const (
	magic      = "convoy ledger 1\n"
	headerSize = len(magic) + len(digest.Sum{}) + 8
	prefixSize = 4 + 8
	maxRow     = 1 << 20 // bytes
)

// file is the part of *os.File that a ledger uses; tests put a failing disk in.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// ErrDamaged is in the chain of errors about a file that does not hold what was
// appended to it, and that no crash can have left so.
var ErrDamaged = errors.New("the file is damaged; move it away, and its rows are fetched from the other replicas")

// ErrDisk is in the chain of errors about a disk that does not take rows: it is
// full, or broken. What was appended before is there still.
var ErrDisk = errors.New("free or repair the disk, and start again")

// Ledger is an open ledger.
type Ledger struct {
	path   string
	chain0 digest.Sum
	torn   int64

	mu   sync.Mutex
	file file
	ends []int64 // ends[i] is where row i begins; the last is the end of the file
	tail chains  // where the next row must fit
	bad  error   // set once the file's content is in doubt: nothing is written any more
}

// Open opens the ledger at path for the run whose chain begins with chain0 =
// c(0), and creates it where there is none. With a zero chain0 it opens whatever
// ledger is there, and none is created. A torn tail is cut off, see Torn; rows
// that do not fit the chains are an error, and nothing is cut.
func Open(path string, chain0 digest.Sum) (*Ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) && !chain0.IsZero() {
		if err := create(path, chain0); err != nil {
			return nil, fmt.Errorf("create ledger %s: %w; %w", path, err, ErrDisk)
		}
		f, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger: %w", err), f.Close())
	}
	l, err := open(f, path, info.Size(), chain0)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

// create makes an empty ledger durable before it has its name, so that a ledger
// always has a whole header.
func create(path string, chain0 digest.Sum) error {
	header := append([]byte(magic), chain0[:]...)
	header = binary.LittleEndian.AppendUint64(header, xxh3.Hash(header))
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(header)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func open(f file, path string, size int64, chain0 digest.Sum) (*Ledger, error) {
	first, err := readHeader(f, path)
	if err != nil {
		return nil, err
	}
	l := &Ledger{path: path, file: f, chain0: first}
	if !chain0.IsZero() && chain0 != l.chain0 {
		return nil, fmt.Errorf("ledger %s belongs to a run that begins with chain %s, this one with %s: use another folder", path, l.chain0, chain0)
	}
	l.ends, l.tail = []int64{int64(headerSize)}, chains{result: l.chain0}
	if err := l.scan(size); err != nil {
		return nil, err
	}
	return l, nil
}

// readHeader checks how a ledger's file begins and returns c(0).
func readHeader(f io.ReaderAt, path string) (chain0 digest.Sum, err error) {
	header := make([]byte, headerSize)
	if _, err := f.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return chain0, fmt.Errorf("read ledger %s: %w", path, err)
	}
	body := header[:headerSize-8]
	if !bytes.HasPrefix(header, []byte(magic)) || xxh3.Hash(body) != binary.LittleEndian.Uint64(header[len(body):]) {
		return chain0, fmt.Errorf("%s is no ledger of this version of convoy: %w", path, ErrDamaged)
	}
	copy(chain0[:], body[len(magic):])
	return chain0, nil
}

// scan reads all rows and cuts off the first that is not whole, with all after.
func (l *Ledger) scan(size int64) error {
	in := io.NewSectionReader(l.file, 0, size)
	for {
		at := l.ends[len(l.ends)-1]
		row, end, err := readRow(in, at, size)
		switch {
		case errors.Is(err, errTorn) && size == at:
			return nil
		case errors.Is(err, errTorn) && !followed(in, at, size):
			l.torn = size - at
			if err := errors.Join(l.file.Truncate(at), l.file.Sync()); err != nil {
				return fmt.Errorf("cut the torn tail of ledger %s: %w; %w", l.path, err, ErrDisk)
			}
			return nil
		case errors.Is(err, errTorn):
			err = fmt.Errorf("step %d: the row does not have the checksum it was written with, and whole rows follow", l.tail.step)
		case err == nil:
			err = l.tail.next(row)
		}
		if err != nil {
			return fmt.Errorf("ledger %s: %w: %w", l.path, err, ErrDamaged)
		}
		l.ends = append(l.ends, end)
	}
}

// errTorn says that no whole record lies there: the file's end, or a torn tail.
var errTorn = errors.New("no whole record")

// followed reports whether a whole record lies behind the one at an offset that
// is not whole. Rows are written one after the other, so that a crash leaves
// nothing whole behind what it tore.
func followed(in io.ReaderAt, at, size int64) bool {
	var length [4]byte
	if size-at < prefixSize {
		return false
	}
	if _, err := in.ReadAt(length[:], at); err != nil {
		return false
	}
	_, _, err := readRow(in, at+prefixSize+int64(binary.LittleEndian.Uint32(length[:])), size)
	return err == nil
}

// readRow reads the record at an offset of a file that is size bytes long.
func readRow(in io.ReaderAt, at, size int64) (row *api.LedgerRow, end int64, err error) {
	if size-at < prefixSize {
		return nil, 0, errTorn
	}
	var prefix [prefixSize]byte
	if _, err := in.ReadAt(prefix[:], at); err != nil {
		return nil, 0, err
	}
	n := int64(binary.LittleEndian.Uint32(prefix[:]))
	if n == 0 || n > maxRow || n > size-at-prefixSize {
		return nil, 0, errTorn
	}
	body := make([]byte, n)
	if _, err := in.ReadAt(body, at+prefixSize); err != nil {
		return nil, 0, err
	}
	if xxh3.Hash(body) != binary.LittleEndian.Uint64(prefix[4:]) {
		return nil, 0, errTorn
	}
	row = new(api.LedgerRow)
	if err := proto.Unmarshal(body, row); err != nil {
		return nil, 0, fmt.Errorf("row at byte %d: %w", at, err)
	}
	return row, at + prefixSize + n, nil
}

// Torn tells how many bytes Open cut off the end of the file: 0 after a clean
// stop. The caller logs it and appends the rows from Next on again.
func (l *Ledger) Torn() int64 { return l.torn }

// Chain0 is c(0), with which the result chain begins.
func (l *Ledger) Chain0() digest.Sum { return l.chain0 }

// Next is the step after the last row: how many rows there are.
func (l *Ledger) Next() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail.step
}

// Chain is c(Next), the result chain after the last row.
func (l *Ledger) Chain() digest.Sum {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail.result
}

// Append adds rows, of which the first may not lie beyond Next. Rows that are
// held already are passed over if they are equal. After an error none of the
// rows has been added; the error names the step. What is appended is durable
// after Sync.
func (l *Ledger) Append(rows ...*api.LedgerRow) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bad != nil {
		return l.bad
	}
	tail := l.tail.clone()
	at := l.ends[len(l.ends)-1]
	ends := []int64{}
	var records []byte
	for _, r := range rows {
		body, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
		if err != nil {
			return fmt.Errorf("ledger %s: step %d: %w", l.path, r.Step, err)
		}
		if r.Step < l.tail.step {
			if err := l.same(r); err != nil {
				return fmt.Errorf("ledger %s: %w", l.path, err)
			}
			continue
		}
		if err := tail.next(r); err != nil {
			return fmt.Errorf("ledger %s: %w", l.path, err)
		}
		if len(body) > maxRow {
			return fmt.Errorf("ledger %s: the row of step %d has %d bytes: at most %d", l.path, r.Step, len(body), maxRow)
		}
		records = binary.LittleEndian.AppendUint32(records, uint32(len(body)))
		records = binary.LittleEndian.AppendUint64(records, xxh3.Hash(body))
		records = append(records, body...)
		ends = append(ends, at+int64(len(records)))
	}
	if _, err := l.file.WriteAt(records, at); err != nil {
		err = fmt.Errorf("append to ledger %s: %w", l.path, err)
		if cut := l.file.Truncate(at); cut != nil {
			l.bad = fmt.Errorf("%w, nor could the torn row be cut off: %w; %w", err, cut, ErrDisk)
			return l.bad
		}
		return fmt.Errorf("%w; %w", err, ErrDisk)
	}
	l.ends, l.tail = append(l.ends, ends...), tail
	return nil
}

// same compares a row with the one held for its step.
func (l *Ledger) same(r *api.LedgerRow) error {
	held, err := l.row(l.ends, r.Step)
	if err != nil {
		return err
	}
	if !proto.Equal(held, r) {
		return fmt.Errorf("step %d: another row is held for this step (gradient %x, now %x): this replica and the sender do not have the same log",
			r.Step, clip(held.GradientDigest), clip(r.GradientDigest))
	}
	return nil
}

// row reads the row of a step that is held.
func (l *Ledger) row(ends []int64, step uint64) (*api.LedgerRow, error) {
	row, end, err := readRow(l.file, ends[step], ends[step+1])
	if err == nil && end != ends[step+1] {
		err = errTorn
	}
	if err != nil {
		return nil, fmt.Errorf("ledger %s: read the row of step %d: %w: %w", l.path, step, err, ErrDamaged)
	}
	return row, nil
}

// Rows returns the rows from a step on, those that are there when the loop
// begins, oldest first. The chains are checked again; an error ends the rows.
func (l *Ledger) Rows(from uint64) iter.Seq2[*api.LedgerRow, error] {
	return func(yield func(*api.LedgerRow, error) bool) {
		l.mu.Lock()
		ends := l.ends[:len(l.ends):len(l.ends)]
		l.mu.Unlock()
		rows := uint64(len(ends) - 1)
		if from >= rows {
			return
		}
		at, err := l.before(ends, from)
		for err == nil && at.step < rows {
			var row *api.LedgerRow
			if row, err = l.row(ends, at.step); err != nil {
				break
			}
			if err = at.next(row); err != nil {
				err = fmt.Errorf("ledger %s: %w: %w", l.path, err, ErrDamaged)
				break
			}
			if row.Step >= from && !yield(row, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// before returns the chains in front of the entry that step belongs to.
func (l *Ledger) before(ends []int64, step uint64) (chains, error) {
	row, err := l.row(ends, step)
	if err != nil {
		return chains{}, err
	}
	for name := row.RecordChain; step > 0; step-- {
		row, err = l.row(ends, step-1)
		if err != nil {
			return chains{}, err
		}
		if !bytes.Equal(row.RecordChain, name) {
			result, _ := digest.FromBytes(row.Chain)
			return chains{step: step, result: result, head: row.RecordChain}, nil
		}
	}
	return chains{result: l.chain0}, nil
}

// Sync makes the appended rows durable. After an error the ledger takes no more
// rows, since the system may have dropped what it could not write.
func (l *Ledger) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bad != nil {
		return l.bad
	}
	if err := l.file.Sync(); err != nil {
		l.bad = fmt.Errorf("sync ledger %s: %w; %w", l.path, err, ErrDisk)
		return l.bad
	}
	return nil
}

// Close closes the file without syncing it.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bad == nil {
		l.bad = fmt.Errorf("ledger %s: %w", l.path, os.ErrClosed)
	}
	return l.file.Close()
}
