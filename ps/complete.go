package ps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"convoy/api"
	"convoy/checkpoint"
	"convoy/digest"
	"convoy/metrics"
)

const (
	completeEvery = 500 * time.Millisecond
	// writesItself is how long a replica that runs a job may take to write a
	// checkpoint that a majority has already.
	writesItself = 2 * time.Second
	pieceBytes   = 1 << 20 // of a file in one message
)

// notLookedYet is what a replica lacks until it has looked.
var notLookedYet = "has just started and has not looked yet what it lacks"

// completion is what keepComplete has found of one job.
type completion struct {
	rows       uint64    // steps whose rows are here
	checkpoint uint64    // step of a checkpoint that is here
	missing    time.Time // since when a newer one has been recorded and is not
}

// keepComplete fetches what voters answer for and this replica lacks, because it
// joined late, a snapshot stood in for entries that it missed, or its disk damaged
// them: the ledgers' rows, and each job's newest recorded checkpoint.
func (r *Replica) keepComplete(ctx context.Context) {
	found := map[string]*completion{}
	told := ""
	for ticker := time.NewTicker(completeEvery); ; {
		changed := r.Changed()
		lack := r.complete(ctx, found)
		if r.lacks.Store(&lack); lack != "" && lack != told {
			r.cfg.Log.Info("this replica is not complete yet", zap.String("lacks", lack))
		}
		told = lack
		select {
		case <-ctx.Done():
			ticker.Stop()
			return
		case <-ticker.C:
		}
		if lack == "" {
			select {
			case <-ctx.Done():
				ticker.Stop()
				return
			case <-changed:
			case <-r.look:
			}
		}
		for _, id := range r.suspects() {
			delete(found, id)
		}
	}
}

// complete looks at all jobs and says what is still missing, "" for nothing.
func (r *Replica) complete(ctx context.Context, found map[string]*completion) string {
	if err := r.keepIdentity(); err != nil {
		return err.Error()
	}
	lacks := ""
	for _, j := range r.control.snapshot().Jobs {
		id := j.Submit.Job
		c := found[id]
		if c == nil {
			c = &completion{}
			found[id] = c
		}
		err := r.completeRows(j, c)
		if err == nil {
			err = r.completeCheckpoint(ctx, j, c)
		}
		if err != nil && lacks == "" {
			lacks = fmt.Sprintf("job %s: %v", id, err)
		}
	}
	return lacks
}

func (r *Replica) completeRows(j *api.JobRecord, c *completion) error {
	if _, started := initialChain(j); !started || c.rows == j.Committed {
		return nil
	}
	if err := r.ledgers.complete(j); err != nil {
		return err
	}
	c.rows = j.Committed
	return nil
}

// complete gets a job's rows that are committed and missing here. The ledger of a
// job that has ended is closed again if nobody else has opened it.
func (l *ledgers) complete(job *api.JobRecord) error {
	return l.do(func() error {
		id := job.Submit.Job
		used := l.open[id] != nil
		led, err := l.ledger(job)
		if err != nil {
			return err
		}
		err = l.fill(job, led, job.Committed)
		if !used && ended(job.Phase) {
			delete(l.open, id)
			err = errors.Join(err, led.Sync(), led.Close())
		}
		return err
	})
}

func (r *Replica) completeCheckpoint(ctx context.Context, j *api.JobRecord, c *completion) error {
	if j.Checkpoint == nil || c.checkpoint == j.Checkpoint.Step {
		return nil
	}
	if _, _, here := r.Checkpoint(j.Submit.Job); here {
		c.checkpoint, c.missing = j.Checkpoint.Step, time.Time{}
		return nil
	}
	if c.missing.IsZero() {
		c.missing = time.Now()
	}
	if !ended(j.Phase) && time.Since(c.missing) < writesItself {
		return fmt.Errorf("the checkpoint at step %d is not here yet", j.Checkpoint.Step)
	}
	return r.fetchCheckpoint(ctx, j)
}

// fetchCheckpoint gets the newest recorded checkpoint of a job from another
// replica.
func (r *Replica) fetchCheckpoint(ctx context.Context, j *api.JobRecord) error {
	if j.Checkpoint == nil {
		return nil // none has been recorded
	}
	id, step := j.Submit.Job, j.Checkpoint.Step
	sum, ok := digest.FromBytes(j.Checkpoint.Sha256)
	if !ok {
		return fmt.Errorf("the log has a SHA-256 of %d bytes for the checkpoint at step %d", len(j.Checkpoint.Sha256), step)
	}
	dir := filepath.Join(r.jobDir(id), "checkpoints")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	r.fetching.Lock() // a copy on its way has one name
	defer r.fetching.Unlock()
	if checkpoint.Verify(checkpointPath(dir, int(step)), sum) == nil {
		return nil
	}
	errs := []error{fmt.Errorf("the checkpoint at step %d is on no other replica in reach", step)}
	for _, m := range r.others() {
		err := checkpoint.Install(checkpointPath(dir, int(step)), sum, func(to io.Writer) error {
			return r.fetchCheckpointFrom(ctx, m, &api.FetchCheckpointRequest{Job: id, Step: step}, to)
		})
		if err == nil {
			r.metrics.Repaired(metrics.Checkpoint, 1)
			r.log(id, fmt.Sprintf("the checkpoint at step %d was missing or damaged here: it is fetched from %s", step, m.ID))
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", m.ID, err))
	}
	return errors.Join(errs...)
}

func (r *Replica) fetchCheckpointFrom(ctx context.Context, m Member, req *api.FetchCheckpointRequest, to io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := r.cfg.Dial(m.Address)
	if err != nil {
		return err
	}
	stream, err := api.NewReplicasClient(conn).FetchCheckpoint(ctx, req)
	if err != nil {
		return err
	}
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := to.Write(piece.Data); err != nil {
			return err
		}
	}
}

// FetchCheckpoint sends a checkpoint's file as it lies here; whoever asked knows
// its SHA-256.
func (r *Replica) FetchCheckpoint(req *api.FetchCheckpointRequest, out grpc.ServerStreamingServer[api.Piece]) error {
	if !jobID.MatchString(req.Job) || req.Step > 1<<40 {
		return status.Errorf(codes.InvalidArgument, "%q at step %d is no checkpoint of a job", req.Job, req.Step)
	}
	if _, record, whole := r.Checkpoint(req.Job); record.GetStep() == req.Step && !whole {
		return status.Errorf(codes.NotFound, "replica %s does not have the checkpoint of job %s at step %d as it was recorded: ask another one", r.cfg.ID, req.Job, req.Step)
	}
	f, err := os.Open(checkpointPath(filepath.Join(r.jobDir(req.Job), "checkpoints"), int(req.Step)))
	if err != nil {
		return status.Errorf(codes.NotFound, "replica %s does not have the checkpoint of job %s at step %d: ask another one", r.cfg.ID, req.Job, req.Step)
	}
	defer func() { _ = f.Close() }() // only read
	buffer := make([]byte, pieceBytes)
	for {
		n, err := f.Read(buffer)
		if n > 0 {
			if err := out.Send(&api.Piece{Data: buffer[:n]}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return status.Errorf(codes.Internal, "replica %s: read a checkpoint of job %s: %v", r.cfg.ID, req.Job, err)
		}
	}
}
