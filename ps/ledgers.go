package ps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
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
	open  map[string]*ledger.Ledger
	err   error // the first row that could not be written
}

func newLedgers(dir string, log *zap.Logger, fetch func(job string, from, to uint64) ([]*api.LedgerRow, error)) *ledgers {
	l := &ledgers{
		dir: dir, log: log, fetch: fetch,
		work: make(chan func(), 1024), ended: make(chan struct{}), open: map[string]*ledger.Ledger{},
	}
	go func() {
		defer close(l.ended)
		for f := range l.work {
			f()
		}
	}()
	return l
}

// do runs f in the ledgers' goroutine and waits for it.
func (l *ledgers) do(f func()) {
	ran := make(chan struct{})
	l.work <- func() { f(); close(ran) }
	<-ran
}

func (l *ledgers) path(job string) string { return filepath.Join(l.dir, "jobs", job, "ledger") }

// append takes rows that were committed one after the other.
func (l *ledgers) append(job *api.JobRecord, rows []*api.LedgerRow) {
	l.work <- func() {
		if err := l.write(job, rows); err != nil {
			l.err = errors.Join(l.err, err)
			l.log.Error("ledger rows not written; free or repair the disk and restart this replica",
				zap.String("job", job.Submit.Job), zap.Uint64("first step", rows[0].Step), zap.Error(err))
		}
	}
}

func (l *ledgers) write(job *api.JobRecord, rows []*api.LedgerRow) error {
	led, err := l.ledger(job)
	if err != nil {
		return err
	}
	if next := led.Next(); rows[0].Step > next { // a Raft snapshot stood in for the entries
		before, err := l.fetch(job.Submit.Job, next, rows[0].Step)
		if err != nil {
			return fmt.Errorf("rows from step %d: %w", next, err)
		}
		if err := led.Append(before...); err != nil {
			return err
		}
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
	l.open[id] = led
	return led, nil
}

// settle returns once all rows so far are on disk for good.
func (l *ledgers) settle() error {
	var err error
	l.do(func() {
		err = l.err
		for _, led := range l.open {
			err = errors.Join(err, led.Sync())
		}
	})
	return err
}

// chains returns c(t+1) of the rows from a step on.
func (l *ledgers) chains(job *api.JobRecord, from int) map[int]digest.Sum {
	known := map[int]digest.Sum{}
	for row, err := range l.rows(job, uint64(from)) {
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

// rows returns the rows from a step on, as they are now.
func (l *ledgers) rows(job *api.JobRecord, from uint64) iter.Seq2[*api.LedgerRow, error] {
	return func(yield func(*api.LedgerRow, error) bool) {
		var led *ledger.Ledger
		var err error
		l.do(func() {
			if _, ok := initialChain(job); ok {
				led, err = l.ledger(job)
			}
		})
		if err != nil {
			yield(nil, err)
			return
		}
		if led == nil {
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
	close(l.work)
	<-l.ended
	var err error
	for _, led := range l.open {
		err = errors.Join(err, led.Sync(), led.Close())
	}
	return err
}

// Rows returns the ledger's rows of a job from a step on.
func (r *Replica) Rows(id string, from uint64) iter.Seq2[*api.LedgerRow, error] {
	if record := r.control.record(id); record != nil {
		return r.ledgers.rows(record, from)
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
	for _, s := range r.cfg.Raft.Servers {
		if s.ID == r.cfg.ID {
			continue
		}
		var rows []*api.LedgerRow
		if rows, err = r.fetchRowsFrom(s.Address, id, from, to); err == nil {
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
