package ps

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"convoy/api"
	"convoy/checkpoint"
	"convoy/digest"
)

// Files of a job that are damaged on this replica's disk are found by the digests
// that the log has, and fetched from other replicas: when the replica starts, and
// when somebody wants to read one.

// sweep removes the temporary files that a crash left behind.
func sweep(dir string) error {
	var errs []error
	for _, pattern := range []string{"jobs/*/*.tmp", "jobs/*/checkpoints/*" + checkpoint.TempSuffix} {
		left, err := filepath.Glob(filepath.Join(dir, pattern))
		errs = append(errs, err)
		for _, path := range left {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}

// mendLater has keepComplete look at a job's files once more.
func (r *Replica) mendLater(id string) {
	r.mu.Lock()
	r.suspect = append(r.suspect, id)
	r.mu.Unlock()
	select {
	case r.look <- struct{}{}:
	default: // it will look
	}
}

// suspects are the jobs that mendLater has named since.
func (r *Replica) suspects() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := r.suspect
	r.suspect = nil
	return ids
}

// Checkpoint returns the newest recorded checkpoint of a job where it lies on this
// replica's disk as it was recorded, byte for byte.
func (r *Replica) Checkpoint(id string) (path string, record *api.CheckpointRecord, ok bool) {
	j := r.control.record(id)
	want, recorded := digest.FromBytes(j.GetCheckpoint().GetSha256())
	if !recorded {
		return "", nil, false
	}
	path = checkpointPath(filepath.Join(r.jobDir(id), "checkpoints"), int(j.Checkpoint.Step))
	err := checkpoint.Verify(path, want)
	if errors.Is(err, checkpoint.ErrDamaged) {
		r.cfg.Log.Warn("a checkpoint is not what was recorded", zap.String("job", id), zap.Error(err))
		r.mendLater(id)
	}
	return path, j.Checkpoint, err == nil
}

// mend makes the recorded checkpoint whole before a job goes on from one. Without
// it the job goes on from an older one.
func (n *runner) mend(record *api.JobRecord) {
	if _, recorded, here := n.r.Checkpoint(n.id()); recorded == nil || here {
		return
	}
	if err := n.r.fetchCheckpoint(n.ctx, record); err != nil {
		n.r.log(n.id(), fmt.Sprintf("going on without the recorded checkpoint: %v", err))
	}
}
