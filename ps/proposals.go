package ps

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/digest"
	"convoy/job"
)

const (
	commitRows  = 16                     // rows that are worth an entry
	commitEvery = 100 * time.Millisecond // rows wait no longer than this
	maxEntry    = 3500                   // bytes of rows in an entry
)

// proposals decides what the leader appends to the log, one entry of the job at
// a time.
type proposals struct {
	leader      *leader
	inFlight    bool
	retryAt     time.Duration
	times       []published                  // of the steps that are not committed
	checkpoints map[uint64]map[string]string // step → replica → SHA-256
	ending      *api.Entry                   // that fails the job
}

type published struct {
	step int
	at   time.Duration
}

func (p *proposals) published(step int) {
	p.times = append(p.times, published{step, p.leader.m.now})
	p.trim()
}

func (p *proposals) trim() {
	for len(p.times) > 0 && p.times[0].step < int(p.leader.m.record.Committed) {
		p.times = p.times[1:]
	}
}

// lag is how long the oldest step that is not committed has been out.
func (p *proposals) lag() time.Duration {
	if len(p.times) == 0 {
		return 0
	}
	return p.leader.m.now - p.times[0].at
}

// fail ends the job with a reason, once.
func (p *proposals) fail(format string, args ...any) {
	p.end(&api.Entry{Body: &api.Entry_JobFailed{JobFailed: &api.JobFailed{Job: p.leader.m.job.ID, Reason: fmt.Sprintf(format, args...)}}})
}

// suspect ends the job where machines disagree, once.
func (p *proposals) suspect(step int, evidence string) {
	p.end(&api.Entry{Body: &api.Entry_JobSuspect{JobSuspect: &api.JobSuspect{Job: p.leader.m.job.ID, Step: uint64(step), Evidence: evidence}}})
}

func (p *proposals) end(e *api.Entry) {
	if p.ending == nil {
		p.ending = e
	}
}

func (p *proposals) noteCheckpoint(a *api.Ack) {
	if a.CheckpointStep == 0 || len(a.CheckpointSha256) == 0 {
		return
	}
	at := p.checkpoints[a.CheckpointStep]
	if at == nil {
		at = map[string]string{}
		p.checkpoints[a.CheckpointStep] = at
	}
	at[a.Replica] = string(a.CheckpointSha256)
}

// propose appends the entry that is due, if any.
func (p *proposals) propose() {
	m := p.leader.m
	if p.inFlight || m.now < p.retryAt {
		return
	}
	switch {
	case p.ending != nil:
		p.append(p.ending)
	case m.record.Phase == api.Phase_PHASE_QUEUED:
		p.start()
	case !m.running():
	default:
		if c := p.commit(); c != nil {
			p.append(&api.Entry{Body: &api.Entry_StepCommit{StepCommit: c}})
		} else if c := p.checkpoint(); c != nil {
			p.append(&api.Entry{Body: &api.Entry_CheckpointRecord{CheckpointRecord: c}})
		} else if f := p.finish(); f != nil {
			p.append(&api.Entry{Body: &api.Entry_JobFinished{JobFinished: f}})
		} else if r := p.rest(); r != nil {
			p.append(&api.Entry{Body: &api.Entry_JobPaused{JobPaused: r}})
		}
	}
}

func (p *proposals) append(e *api.Entry) {
	p.inFlight = true
	p.leader.m.do(Propose{e})
}

// start begins the job once a majority has computed the same initial state.
func (p *proposals) start() {
	m := p.leader.m
	if m.keeper.Step() != 0 {
		return
	}
	own := m.keeper.Digest()
	ok, odd := p.leader.agreed(own)
	if !ok {
		if odd != "" && !slices.ContainsFunc(m.cfg.Voters, func(id string) bool { return p.leader.acks[id] == nil }) {
			p.fail("replicas %s and %s compute different initial states: run the same release everywhere and submit again", m.cfg.Self, odd)
		}
		return
	}
	chain := digest.Chain0(m.job.Hash, own)
	p.append(&api.Entry{Body: &api.Entry_JobStart{JobStart: &api.JobStart{
		Job: m.job.ID, RecipeHash: m.job.Hash[:], ArithmeticVersion: job.ArithmeticVersion,
		StateDigest: own[:], Chain: chain[:],
	}}})
}

// commit covers the steps that a majority holds.
func (p *proposals) commit() *api.StepCommit {
	m := p.leader.m
	m.keeper.Committed(int(m.record.Committed))
	rows, held := m.keeper.Rows(), p.leader.received()
	if m.cfg.rules.noMajority {
		held = m.keeper.Step()
	}
	n := 0
	for n < len(rows) && int(rows[n].Step) < held && n < maxUncommitted {
		n++
	}
	if n == 0 || rows[0].Step != m.record.Committed {
		return nil
	}
	last := int(rows[n-1].Step)+1 == m.job.Sequence.Len()
	if n < commitRows && p.lag() < commitEvery && len(p.times) > 0 && !last && !m.pausing() {
		return nil
	}
	c := newCommit(m.job.ID, rows[:n])
	p.date(c)
	return c
}

// date says of the rows that this leader published how long ago that was.
func (p *proposals) date(c *api.StepCommit) {
	for _, out := range p.times {
		if i := out.step - int(c.First); i >= 0 && i < len(c.Rows) {
			age := (p.leader.m.now - out.at).Microseconds()
			c.Rows[i].PublishedUs = uint32(min(max(age, 1), math.MaxUint32))
		}
	}
}

// datedBytes is what date may add to a row.
const datedBytes = 6

// newCommit writes rows into one entry, as many as fit.
func newCommit(id string, rows []*api.StepRow) *api.StepCommit {
	c := &api.StepCommit{Job: id, First: rows[0].Step, ChainBefore: rows[0].Chain}
	index := map[string]uint32{}
	var before []*api.Share
	size := 0
	for _, r := range rows {
		named := len(c.Workers)
		shares := make([]*api.Share, len(r.Shares))
		for i, s := range r.Shares {
			worker := r.Workers[s.Worker]
			at, ok := index[worker]
			if !ok {
				at = uint32(len(c.Workers))
				index[worker] = at
				c.Workers = append(c.Workers, worker)
				size += len(worker) + 2
			}
			shares[i] = &api.Share{Worker: at, Low: s.Low, High: s.High}
		}
		row := &api.CommittedRow{
			GradientDigest: r.GradientDigest, LossSum: r.LossSum,
			Correct: r.Correct, Top5: r.Top5, Examples: r.Examples, StateDigest: r.StateDigest, Audited: r.Audited,
		}
		if !equalShares(shares, before) {
			row.Shares, before = shares, shares
		}
		size += proto.Size(row) + 3 + datedBytes
		if size > maxEntry && len(c.Rows) > 0 {
			c.Workers = c.Workers[:named]
			break
		}
		c.Rows = append(c.Rows, row)
	}
	return c
}

func equalShares(a, b []*api.Share) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !proto.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// checkpoint records the newest file that a majority has, byte for byte.
func (p *proposals) checkpoint() *api.CheckpointRecord {
	m := p.leader.m
	var best *api.CheckpointRecord
	for step, files := range p.checkpoints {
		if step <= m.record.Checkpoint.GetStep() {
			delete(p.checkpoints, step)
			continue
		}
		if step > m.record.Committed || (best != nil && step < best.Step) {
			continue
		}
		count := map[string]int{}
		for id, sha := range files {
			if !m.voter(id) {
				continue
			}
			if count[sha]++; count[sha] >= p.leader.majority() {
				best = &api.CheckpointRecord{Job: m.job.ID, Step: step, Sha256: []byte(sha)}
			}
		}
	}
	return best
}

// finish ends the job once its last state is committed and on disk.
func (p *proposals) finish() *api.JobFinished {
	m := p.leader.m
	end := uint64(m.job.Sequence.Len())
	if m.record.Committed < end || m.record.Checkpoint.GetStep() < end || m.keeper.Step() < int(end) {
		return nil
	}
	d := m.keeper.Digest()
	return &api.JobFinished{Job: m.job.ID, Step: end, StateDigest: d[:]}
}

// rest says where a pausing job has come to rest: all that was published is
// committed. After its last step there is nothing to pause.
func (p *proposals) rest() *api.JobPaused {
	m := p.leader.m
	at := m.record.Committed
	if !m.pausing() || uint64(m.keeper.Step()) != at || at >= uint64(m.job.Sequence.Len()) || (at > 0 && m.record.RestStep == at) {
		return nil
	}
	return &api.JobPaused{Job: m.job.ID, Step: at}
}

// waitingToRest says what keeps a pausing job from being paused.
func (p *proposals) waitingToRest() string {
	m := p.leader.m
	switch step := m.keeper.Step(); {
	case step > int(m.record.Committed) && p.leader.received() < step:
		return "pausing: waiting for replicas to hold the last gradient: " + strings.Join(p.leader.lacking(), ", ")
	case step > int(m.record.Committed) || m.record.RestStep == 0:
		return "pausing: waiting for the Raft log to commit"
	}
	return fmt.Sprintf("pausing: waiting for a majority to have the checkpoint at step %d", m.record.RestStep)
}
