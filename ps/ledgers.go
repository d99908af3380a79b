package ps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"convoy/api"
	"convoy/digest"
	"convoy/ledger"
	"convoy/metrics"
)

// ledgers writes the committed rows of all jobs to this replica's disk, in a
// goroutine of its own, so that neither Raft nor a step waits for the disk.
type ledgers struct {
	dir    string
	log    *zap.Logger
	fetch  fetchRows
	failed func(error) // told when the disk fails; does not block
	count  *metrics.Replica
	work   chan func()
	ended  chan struct{}

	mu     sync.RWMutex // held for reading while work is handed in
	closed bool

	// The goroutine's own.
	open map[string]*ledger.Ledger
	errs map[string]error // why a job's rows are not all there, by job
}

// fetchRows gets rows [from, to) of a job from other replicas, until take likes
// what one of them has.
type fetchRows func(job string, from, to uint64, take func([]*api.LedgerRow) error) error

func newLedgers(dir string, log *zap.Logger, fetch fetchRows, failed func(error), count *metrics.Replica) *ledgers {
	l := &ledgers{
		dir: dir, log: log, fetch: fetch, failed: failed, count: count, work: make(chan func(), 1024), ended: make(chan struct{}),
		open: map[string]*ledger.Ledger{}, errs: map[string]error{},
	}
	go func() {
		defer close(l.ended)
		for f := range l.work {
			f()
		}
	}()
	return l
}

// later runs f in the ledgers' goroutine, unless that has ended.
func (l *ledgers) later(f func()) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.closed {
		l.work <- f
	}
	return !l.closed
}

// do runs f in the ledgers' goroutine and waits for it.
func (l *ledgers) do(f func() error) error {
	answer := make(chan error, 1)
	if !l.later(func() { answer <- f() }) {
		return errStopping
	}
	return <-answer
}

func (l *ledgers) path(job string) string { return filepath.Join(l.dir, "jobs", job, "ledger") }

// append takes rows that were committed one after the other.
func (l *ledgers) append(job *api.JobRecord, rows []*api.LedgerRow) {
	l.later(func() {
		id := job.Submit.Job
		err := l.write(job, rows)
		l.note(err)
		if err == nil {
			delete(l.errs, id)
			return
		}
		l.errs[id] = err
		l.log.Error("ledger rows not written, trying again with the next ones",
			zap.String("job", id), zap.Uint64("first step", rows[0].Step), zap.Error(err))
	})
}

// note tells of an error that the disk made: what it does not take, no later
// attempt can be believed to have written.
func (l *ledgers) note(err error) {
	if errors.Is(err, ledger.ErrDisk) {
		l.failed(err)
	}
}

func (l *ledgers) write(job *api.JobRecord, rows []*api.LedgerRow) error {
	led, err := l.ledger(job)
	if err == nil {
		err = l.fill(job, led, rows[0].Step)
	}
	if err == nil {
		err = led.Append(rows...)
	}
	return err
}

// fill gets the rows before step that are missing here from another replica: a
// Raft snapshot stood in for their entries, or the file was damaged.
func (l *ledgers) fill(job *api.JobRecord, led *ledger.Ledger, step uint64) error {
	next := led.Next()
	if next >= step {
		return nil
	}
	return l.fetch(job.Submit.Job, next, step, func(rows []*api.LedgerRow) error {
		last := rows[len(rows)-1]
		if step == job.Committed && (!bytes.Equal(last.Chain, job.Chain) || !bytes.Equal(last.RecordChain, job.RecordChain)) {
			return fmt.Errorf("its rows end at step %d with other chains than the log's", last.Step)
		}
		if err := led.Append(rows...); err != nil {
			return err
		}
		l.count.Repaired(metrics.LedgerRow, len(rows))
		return nil
	})
}

func (l *ledgers) ledger(job *api.JobRecord) (*ledger.Ledger, error) {
	id := job.Submit.Job
	if led := l.open[id]; led != nil {
		return led, nil
	}
	chain, ok := initialChain(job)
	if !ok {
		return nil, fmt.Errorf("job %s has not started", id)
	}
	if err := os.MkdirAll(filepath.Dir(l.path(id)), 0o755); err != nil {
		return nil, fmt.Errorf("folder of the ledger: %w; %w", err, ledger.ErrDisk)
	}
	led, err := ledger.Open(l.path(id), chain)
	if errors.Is(err, ledger.ErrDamaged) {
		led, err = l.anew(id, chain, err)
	}
	if err != nil {
		return nil, err
	}
	if torn := led.Torn(); torn > 0 {
		l.log.Warn("the ledger ended in a torn row, which is cut off and written again", zap.String("job", id), zap.Int64("bytes", torn))
	}
	l.open[id] = led
	return led, nil
}

// anew sets a damaged ledger aside and begins an empty one, whose rows come from
// the log and from other replicas.
func (l *ledgers) anew(id string, chain digest.Sum, damage error) (*ledger.Ledger, error) {
	aside := l.path(id) + ".damaged"
	if err := os.Rename(l.path(id), aside); err != nil {
		return nil, fmt.Errorf("%w, and cannot be set aside: %w; %w", damage, err, ledger.ErrDisk)
	}
	l.log.Warn("the ledger is damaged; it is set aside, and its rows are fetched from the other replicas",
		zap.String("job", id), zap.String("aside", aside), zap.Error(damage))
	return ledger.Open(l.path(id), chain)
}

// settle returns once all rows so far are on disk for good.
func (l *ledgers) settle() error {
	return l.do(func() error {
		var err error
		for _, e := range l.errs {
			err = errors.Join(err, e)
		}
		for _, led := range l.open {
			err = errors.Join(err, led.Sync())
		}
		l.note(err)
		return err
	})
}

// chains returns c(t+1) of the rows from a step on.
func (l *ledgers) chains(job *api.JobRecord, from int) map[int]digest.Sum {
	known := map[int]digest.Sum{}
	for row, err := range l.rows(job, uint64(from), true) {
		if err != nil {
			l.log.Warn("ledger not read to its end", zap.String("job", job.Submit.Job), zap.Error(err))
			break
		}
		if c, ok := digest.FromBytes(row.Chain); ok {
			known[int(row.Step)] = c
		}
	}
	return known
}

// rows returns the rows from a step on, as they are now. With whole, what is
// committed and missing here is fetched from other replicas first. A file that
// turns out to be damaged is opened anew, which mends it.
func (l *ledgers) rows(job *api.JobRecord, from uint64, whole bool) iter.Seq2[*api.LedgerRow, error] {
	return func(yield func(*api.LedgerRow, error) bool) {
		if _, started := initialChain(job); !started {
			return
		}
		for tries := 1; ; tries++ {
			led, err := l.readable(job, whole)
			if err != nil {
				yield(nil, err)
				return
			}
			again := false
			for row, err := range led.Rows(from) {
				if again = tries < 3 && (errors.Is(err, ledger.ErrDamaged) || errors.Is(err, os.ErrClosed)); again {
					l.log.Warn("opening the ledger again", zap.String("job", job.Submit.Job), zap.Error(err))
					break
				}
				if !yield(row, err) || err != nil {
					return
				}
				from = row.Step + 1
			}
			if !again {
				return
			}
			if err := l.do(func() error { return l.shut(job.Submit.Job, led) }); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// readable opens a job's ledger and makes it whole if asked to.
func (l *ledgers) readable(job *api.JobRecord, whole bool) (led *ledger.Ledger, err error) {
	err = l.do(func() (err error) {
		if led, err = l.ledger(job); err == nil && whole {
			err = l.fill(job, led, job.Committed)
		}
		l.note(err)
		return err
	})
	return led, err
}

// shut closes a ledger, unless another one has taken its place.
func (l *ledgers) shut(id string, led *ledger.Ledger) error {
	if l.open[id] != led {
		return nil
	}
	delete(l.open, id)
	return led.Close()
}

func (l *ledgers) close() error {
	l.mu.Lock()
	l.closed = true
	close(l.work)
	l.mu.Unlock()
	<-l.ended
	var err error
	for _, led := range l.open {
		err = errors.Join(err, led.Sync(), led.Close())
	}
	return err
}

// Rows returns the ledger's rows of a job from a step on.
func (r *Replica) Rows(id string, from uint64) iter.Seq2[*api.LedgerRow, error] {
	return r.rows(id, from, true)
}

func (r *Replica) rows(id string, from uint64, whole bool) iter.Seq2[*api.LedgerRow, error] {
	if record := r.control.record(id); record != nil {
		return r.ledgers.rows(record, from, whole)
	}
	return func(func(*api.LedgerRow, error) bool) {}
}

// fetchRows gets rows [from, to) from another replica.
func (r *Replica) fetchRows(id string, from, to uint64, take func([]*api.LedgerRow) error) error {
	errs := []error{errors.New("no other replica has them")}
	for _, s := range r.others() {
		rows, err := r.fetchRowsFrom(s.Address, id, from, to)
		if err == nil {
			err = take(rows)
		}
		if err == nil || errors.Is(err, ledger.ErrDisk) {
			return err
		}
		errs = append(errs, fmt.Errorf("%s: %w", s.ID, err))
	}
	return fmt.Errorf("fetch rows [%d,%d) of the ledger of job %s: %w", from, to, id, errors.Join(errs...))
}

func (r *Replica) fetchRowsFrom(address, id string, from, to uint64) ([]*api.LedgerRow, error) {
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
	defer cancel()
	conn, err := r.cfg.Dial(address)
	if err != nil {
		return nil, err
	}
	stream, err := api.NewReplicasClient(conn).FetchRows(ctx, &api.RowsRequest{Job: id, From: from})
	if err != nil {
		return nil, err
	}
	var rows []*api.LedgerRow
	for uint64(len(rows)) < to-from {
		row, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("it has only %d of them", len(rows))
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}
