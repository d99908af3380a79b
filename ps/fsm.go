package ps

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/digest"
	"convoy/failpoint"
	"convoy/job"
	"convoy/ledger"
)

// control is the Raft FSM: the jobs' phases and heads. It is pure and small: it
// reads no clock, touches no tensor, and never blocks. An entry that no longer
// applies when its turn comes changes nothing, and does so on every replica
// alike.
//
// What it decides is handed to watch, which must not block; rows of steps go
// with the entry that committed them.
type control struct {
	mu    sync.Mutex
	state *api.Control
	watch func(change)
	// settle returns once all rows handed out are safely on disk; a snapshot
	// waits for it, since it lets Raft forget the entries.
	settle func() error
}

// change is what one applied entry did.
type change struct {
	job      *api.JobRecord // nil where no job changed
	rows     []*api.LedgerRow
	restored bool // the whole state came from a snapshot
}

func newControl(watch func(change), settle func() error) *control {
	return &control{state: &api.Control{}, watch: watch, settle: settle}
}

// snapshot returns a copy of the whole state.
func (c *control) snapshot() *api.Control {
	c.mu.Lock()
	defer c.mu.Unlock()
	return proto.CloneOf(c.state)
}

// Apply carries out a committed entry.
func (c *control) Apply(l *raft.Log) any {
	entry := &api.Entry{}
	if err := proto.Unmarshal(l.Data, entry); err != nil {
		return fmt.Errorf("log entry %d: %w", l.Index, err)
	}
	failpoint.Pass(failpoint.BeforeCommit)
	c.mu.Lock()
	made := c.apply(entry)
	if made.job != nil {
		made.job = proto.CloneOf(made.job)
	}
	c.mu.Unlock()
	failpoint.Pass(failpoint.AfterCommit)
	c.watch(made)
	return nil
}

// apply carries out an entry, and lets the next job run where that made room.
func (c *control) apply(e *api.Entry) change {
	made := c.carryOut(e)
	if r := c.current(); r != nil && r.Phase == api.Phase_PHASE_QUEUED && r.Start != nil {
		r.Phase = api.Phase_PHASE_RUNNING // it was paused, and it is its turn
	}
	return made
}

func (c *control) carryOut(e *api.Entry) change {
	switch b := e.Body.(type) {
	case *api.Entry_JobSubmit:
		return change{job: c.submit(b.JobSubmit, e.UnixNanos)}
	case *api.Entry_DataCommit:
		if d := b.DataCommit.ManifestDigest; !slices.ContainsFunc(c.state.Manifests, func(m []byte) bool { return bytes.Equal(m, d) }) {
			c.state.Manifests = append(c.state.Manifests, d)
		}
	case *api.Entry_JobStart:
		return change{job: c.start(b.JobStart, e.UnixNanos)}
	case *api.Entry_StepCommit:
		return c.commit(b.StepCommit, e.UnixNanos)
	case *api.Entry_CheckpointRecord:
		if r := c.running(b.CheckpointRecord.Job); r != nil && b.CheckpointRecord.Step > r.Checkpoint.GetStep() {
			r.Checkpoint = b.CheckpointRecord
			c.settlePause(r)
			return change{job: r}
		}
	case *api.Entry_JobCancel:
		return change{job: c.end(b.JobCancel.Job, api.Phase_PHASE_CANCELLED, "cancelled by a user", e.UnixNanos)}
	case *api.Entry_JobFinished:
		if r := c.running(b.JobFinished.Job); r != nil && r.Committed == b.JobFinished.Step {
			r.LastDigest, r.LastDigestStep = b.JobFinished.StateDigest, b.JobFinished.Step
			return change{job: c.end(b.JobFinished.Job, api.Phase_PHASE_FINISHED, "", e.UnixNanos)}
		}
	case *api.Entry_ClusterBegin:
		if c.state.Uid == "" {
			c.state.Uid = b.ClusterBegin.Uid
		}
	case *api.Entry_JobFailed:
		return change{job: c.end(b.JobFailed.Job, api.Phase_PHASE_FAILED, b.JobFailed.Reason, e.UnixNanos)}
	case *api.Entry_JobSuspect:
		return change{job: c.end(b.JobSuspect.Job, api.Phase_PHASE_SUSPECT, b.JobSuspect.Evidence, e.UnixNanos)}
	case *api.Entry_JobPause:
		return change{job: c.pause(b.JobPause)}
	case *api.Entry_JobPaused:
		return change{job: c.paused(b.JobPaused)}
	case *api.Entry_JobResume:
		return change{job: c.resume(b.JobResume)}
	}
	return change{}
}

// record returns a copy of a job's record, nil if there is no such job.
func (c *control) record(id string) *api.JobRecord {
	r, _ := c.recordOf(id)
	return r
}

// recordOf returns a copy of a job's record, nil if there is no such job, and the
// id of the active job at that time, "" without one.
func (c *control) recordOf(id string) (r *api.JobRecord, active string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r = c.find(id); r != nil {
		r = proto.CloneOf(r)
	}
	return r, c.current().GetSubmit().GetJob()
}

// jobs returns copies of all records and the id of the active job.
func (c *control) jobs() (all []*api.JobRecord, active string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return proto.CloneOf(c.state).Jobs, c.current().GetSubmit().GetJob()
}

// active returns a copy of the record of the job that the cluster works on; nil
// without one.
func (c *control) active() *api.JobRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.current(); r != nil {
		return proto.CloneOf(r)
	}
	return nil
}

// current is the job that runs, else the first that waits in the queue.
func (c *control) current() *api.JobRecord {
	var next *api.JobRecord
	for _, r := range c.state.Jobs {
		switch {
		case running(r.Phase):
			return r
		case next == nil && r.Phase == api.Phase_PHASE_QUEUED:
			next = r
		}
	}
	return next
}

func (c *control) find(id string) *api.JobRecord {
	for _, r := range c.state.Jobs {
		if r.Submit.Job == id {
			return r
		}
	}
	return nil
}

func (c *control) running(id string) *api.JobRecord {
	if r := c.find(id); r != nil && running(r.Phase) {
		return r
	}
	return nil
}

// running reports whether a job has steps under way; a pausing one still has.
func running(p api.Phase) bool {
	return p == api.Phase_PHASE_RUNNING || p == api.Phase_PHASE_PAUSING
}

func (c *control) submit(s *api.JobSubmit, now int64) *api.JobRecord {
	if c.find(s.Job) != nil {
		return nil
	}
	r := &api.JobRecord{
		Submit: s, Phase: api.Phase_PHASE_QUEUED, SubmittedUnixNanos: now,
		WorkersUsed: map[string]uint64{},
	}
	c.state.Jobs = append(c.state.Jobs, r)
	return r
}

func (c *control) start(s *api.JobStart, now int64) *api.JobRecord {
	r := c.find(s.Job)
	if r == nil || r.Phase != api.Phase_PHASE_QUEUED || r != c.current() {
		return nil // a job that was resumed may have taken its turn
	}
	r.Phase, r.Start, r.Chain, r.StartedUnixNanos = api.Phase_PHASE_RUNNING, s, s.Chain, now
	r.LastDigest = s.StateDigest
	return r
}

func (c *control) end(id string, phase api.Phase, reason string, now int64) *api.JobRecord {
	r := c.find(id)
	if r == nil || ended(r.Phase) {
		return nil
	}
	r.Phase, r.Reason, r.EndedUnixNanos = phase, reason, now
	return r
}

// pause stops a job, if its turn is still the one at which that was decided. One
// that has steps under way comes to rest first.
func (c *control) pause(p *api.JobPause) *api.JobRecord {
	r := c.find(p.Job)
	if r == nil || r.Turn != p.Turn {
		return nil
	}
	switch r.Phase {
	case api.Phase_PHASE_QUEUED:
		r.Phase = api.Phase_PHASE_PAUSED
	case api.Phase_PHASE_RUNNING:
		r.Phase, r.RestStep = api.Phase_PHASE_PAUSING, 0
	default:
		return nil
	}
	r.Turn++
	return r
}

// paused notes where a pausing job rests. A replica that was out of reach may
// turn out to hold a later step, which then is committed and takes its place.
func (c *control) paused(p *api.JobPaused) *api.JobRecord {
	r := c.find(p.Job)
	if r == nil || r.Phase != api.Phase_PHASE_PAUSING || r.Committed != p.Step {
		return nil
	}
	r.RestStep = p.Step
	c.settlePause(r)
	return r
}

// settlePause ends the pausing of a job whose resting place is on a majority's
// disks; that of a job without steps is the initial state.
func (c *control) settlePause(r *api.JobRecord) {
	if r.Phase == api.Phase_PHASE_PAUSING && r.RestStep == r.Committed && r.Checkpoint.GetStep() == r.Committed {
		r.Phase = api.Phase_PHASE_PAUSED
	}
}

// resume lets a job go on, if its turn is still the one at which that was
// decided: from the queue, or where it is if it was not at rest yet.
func (c *control) resume(p *api.JobResume) *api.JobRecord {
	r := c.find(p.Job)
	if r == nil || r.Turn != p.Turn {
		return nil
	}
	switch r.Phase {
	case api.Phase_PHASE_PAUSED:
		r.Phase = api.Phase_PHASE_QUEUED
	case api.Phase_PHASE_PAUSING:
		r.Phase = api.Phase_PHASE_RUNNING
	default:
		return nil
	}
	r.RestStep = 0
	r.Turn++
	return r
}

func ended(p api.Phase) bool {
	return p == api.Phase_PHASE_FINISHED || p == api.Phase_PHASE_FAILED || p == api.Phase_PHASE_CANCELLED || p == api.Phase_PHASE_SUSPECT
}

// commit moves a job's head over a range of steps that starts exactly there.
func (c *control) commit(s *api.StepCommit, now int64) change {
	r := c.running(s.Job)
	if r == nil || s.First != r.Committed || !bytes.Equal(s.ChainBefore, r.Chain) || len(s.Rows) == 0 {
		return change{}
	}
	recipe, err := job.ParseRecipe(r.Submit.Recipe)
	if err != nil || int(s.First)+len(s.Rows) > recipe.Sequence().Len() || slices.ContainsFunc(s.Rows, malformed) {
		return change{}
	}
	seq := recipe.Sequence()
	r.RecordChain = ledger.RecordChain(r.RecordChain, s, now)
	rows := ledger.FromCommit(seq, s, now, r.RecordChain)
	for _, row := range rows {
		c.row(r, row)
	}
	r.Committed += uint64(len(rows))
	r.Chain = rows[len(rows)-1].Chain
	return change{job: r, rows: rows}
}

// malformed finds rows that the ledger would refuse.
func malformed(r *api.CommittedRow) bool {
	return len(r.GradientDigest) != len(digest.Gradient{}) || r.Examples == 0 || r.Correct > r.Top5 || r.Top5 > r.Examples ||
		(len(r.StateDigest) != 0 && len(r.StateDigest) != len(digest.Sum{}))
}

// row takes the figures that the record keeps from one committed step.
func (c *control) row(r *api.JobRecord, row *api.LedgerRow) {
	mean := row.LossSum / float64(row.Examples)
	if len(row.StateDigest) > 0 {
		r.LastDigest, r.LastDigestStep = row.StateDigest, row.Step
	}
	if row.Evaluation {
		r.HasTest, r.TestLoss = true, mean
		r.TestAccuracy, r.TestTop5 = float64(row.Correct)/float64(row.Examples), float64(row.Top5)/float64(row.Examples)
		return
	}
	r.HasTrainLoss, r.TrainLoss = true, mean
	if r.WorkersUsed == nil {
		r.WorkersUsed = map[string]uint64{}
	}
	for _, s := range row.Shares {
		if int(s.Worker) < len(row.Workers) {
			r.WorkersUsed[row.Workers[s.Worker]]++
		}
	}
}

// Snapshot copies the state, so that Raft can write it while entries go on.
func (c *control) Snapshot() (raft.FSMSnapshot, error) {
	return &snapshot{c.snapshot(), c.settle}, nil
}

// Restore replaces the state by a snapshot's.
func (c *control) Restore(from io.ReadCloser) error {
	defer func() { _ = from.Close() }() // read to its end or failed already
	b, err := io.ReadAll(from)
	if err != nil {
		return fmt.Errorf("read a Raft snapshot: %w", err)
	}
	restored := &api.Control{}
	if err := proto.Unmarshal(b, restored); err != nil {
		return fmt.Errorf("parse a Raft snapshot: %w", err)
	}
	for i, j := range restored.Jobs {
		if j.GetSubmit() == nil {
			return fmt.Errorf("parse a Raft snapshot: job %d of %d has no submission", i+1, len(restored.Jobs))
		}
	}
	c.mu.Lock()
	c.state = restored
	c.mu.Unlock()
	c.watch(change{restored: true})
	return nil
}

type snapshot struct {
	state  *api.Control
	settle func() error
}

// Persist writes the state, after the ledgers' rows that it stands for.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	err := s.settle()
	if err == nil {
		var b []byte
		if b, err = (proto.MarshalOptions{Deterministic: true}).Marshal(s.state); err == nil {
			_, err = sink.Write(b)
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write a Raft snapshot: %w", err), sink.Cancel())
	}
	return sink.Close()
}

func (s *snapshot) Release() {}

// initialChain is c(0) as the record of a started job gives it.
func initialChain(r *api.JobRecord) (digest.Sum, bool) {
	return digest.FromBytes(r.GetStart().GetChain())
}
