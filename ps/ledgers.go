package ps

import (
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
)

// ledgers writes the committed rows of all jobs to this replica's disk, in a
// goroutine of its own, so that neither Raft nor a step waits for the disk.
type ledgers struct {
	dir   string
	log   *zap.Logger
	fetch func(job string, from, to uint64) ([]*api.LedgerRow, error)
	work  chan func()
	ended chan struct{}

	mu     sync.RWMutex // held for reading while work is handed in
	closed bool

	// The goroutine's own.
	open map[string]*ledger.Ledger
	errs map[string]error // why a job's rows are not all there, by job
}

func newLedgers(dir string, log *zap.Logger, fetch func(job string, from, to uint64) ([]*api.LedgerRow, error)) *ledgers {
	l := &ledgers{
		dir: dir, log: log, fetch: fetch, work: make(chan func(), 1024), ended: make(chan struct{}),
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
		if err := l.write(job, rows); err != nil {
			l.errs[id] = err
			l.log.Error("ledger rows not written; free or repair the disk and restart this replica",
				zap.String("job", id), zap.Uint64("first step", rows[0].Step), zap.Error(err))
		} else {
			delete(l.errs, id)
		}
	})
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
// Raft snapshot stood in for their entries.
func (l *ledgers) fill(job *api.JobRecord, led *ledger.Ledger, step uint64) error {
	next := led.Next()
	if next >= step {
		return nil
	}
	rows, err := l.fetch(job.Submit.Job, next, step)
	if err != nil {
		return err
	}
	return led.Append(rows...)
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
		return nil, err
	}
	led, err := ledger.Open(l.path(id), chain)
	if err != nil {
		return nil, err
	}
	if torn := led.Torn(); torn > 0 {
		l.log.Warn("the ledger ended in a torn row, which is cut off and written again", zap.String("job", id), zap.Int64("bytes", torn))
	}
	l.open[id] = led
	return led, nil
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
// committed and missing here is fetched from other replicas first.
func (l *ledgers) rows(job *api.JobRecord, from uint64, whole bool) iter.Seq2[*api.LedgerRow, error] {
	return func(yield func(*api.LedgerRow, error) bool) {
		if _, started := initialChain(job); !started {
			return
		}
		var led *ledger.Ledger
		err := l.do(func() (err error) {
			if led, err = l.ledger(job); err == nil && whole {
				err = l.fill(job, led, job.Committed)
			}
			return err
		})
		if err != nil {
			yield(nil, err)
			return
		}
		for row, err := range led.Rows(from) {
			if !yield(row, err) {
				return
			}
		}
	}
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

// Checkpoint returns the newest recorded checkpoint of a job where it lies on
// this replica's disk.
func (r *Replica) Checkpoint(id string) (path string, record *api.CheckpointRecord, ok bool) {
	j := r.control.record(id)
	if j.GetCheckpoint() == nil {
		return "", nil, false
	}
	path = checkpointPath(filepath.Join(r.jobDir(id), "checkpoints"), int(j.Checkpoint.Step))
	_, err := os.Stat(path)
	return path, j.Checkpoint, err == nil
}

// fetchRows gets rows [from, to) from another replica.
func (r *Replica) fetchRows(id string, from, to uint64) ([]*api.LedgerRow, error) {
	err := errors.New("no other replica")
	for _, m := range r.others() {
		var rows []*api.LedgerRow
		if rows, err = r.fetchRowsFrom(m.Address, id, from, to); err == nil {
			return rows, nil
		}
	}
	return nil, fmt.Errorf("fetch ledger rows [%d,%d): %w", from, to, err)
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
			return nil, fmt.Errorf("%s has only %d of them", address, len(rows))
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}
