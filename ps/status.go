package ps

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/status"

	"convoy/api"
	"convoy/job"
)

// live is what the loop shows of itself to those who ask.
type live struct {
	job       string
	step      int
	figures   Figures
	planned   int
	waiting   string
	perSecond float64
}

// meter measures images per second over the last seconds.
type meter struct{ marks []mark }

type mark struct {
	at     time.Time
	images int
}

const meterSpan = 3 * time.Second

func (m *meter) add(now time.Time, images int) float64 {
	if n := len(m.marks); n == 0 || now.Sub(m.marks[n-1].at) >= 100*time.Millisecond {
		m.marks = append(m.marks, mark{now, images})
	}
	for len(m.marks) > 2 && now.Sub(m.marks[1].at) > meterSpan {
		m.marks = m.marks[1:]
	}
	first := m.marks[0]
	if seconds := now.Sub(first.at).Seconds(); seconds > 0 {
		return float64(images-first.images) / seconds
	}
	return 0
}

// tell publishes what has changed since the last tick.
func (r *Replica) tell() {
	if !r.dirty {
		return
	}
	r.dirty = false
	now := &live{}
	if n := r.runner; n != nil {
		now.job = n.id()
		if k := n.machine.Keeper(); k != nil {
			now.step = k.Step()
			now.figures = n.machine.Figures()
			now.perSecond = n.meter.add(time.Now(), imagesBefore(n.job.Sequence, k.Step()))
		}
		now.planned, now.waiting = n.machine.Planned()
		r.metrics.Lag.Set(float64(max(0, now.step-int(n.record.Committed))))
	}
	r.metrics.Planned.Set(float64(now.planned))
	r.live.Store(now)
	r.mu.Lock()
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
}

// imagesBefore is the number of training examples in the steps before t.
func imagesBefore(s job.Sequence, t int) int {
	epoch := t / s.PerEpoch()
	return epoch*s.Train + min(t%s.PerEpoch()*s.Batch, s.Train)
}

// Changed is closed at the next change of any job or of the leadership.
func (r *Replica) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Control returns a copy of what the log amounts to.
func (r *Replica) Control() *api.Control { return r.control.snapshot() }

// Jobs returns all jobs in order of submission.
func (r *Replica) Jobs() []*api.JobStatus {
	jobs, active := r.control.jobs()
	all := make([]*api.JobStatus, len(jobs))
	for i, record := range jobs {
		all[i] = r.jobStatus(record, active)
	}
	return all
}

// Job returns one job.
func (r *Replica) Job(id string) (*api.JobStatus, bool) {
	if record, active := r.control.recordOf(id); record != nil {
		return r.jobStatus(record, active), true
	}
	return nil, false
}

// jobStatus joins what the log has with what has happened since; active is the
// job that the cluster works on.
func (r *Replica) jobStatus(record *api.JobRecord, active string) *api.JobStatus {
	s := &api.JobStatus{
		Job: record.Submit.Job, Name: record.Submit.Name, Phase: record.Phase, Reason: record.Reason,
		Recipe: string(record.Submit.Recipe), JobFile: string(record.Submit.JobFile),
		Step: record.Committed, Committed: record.Committed,
		HasTrainLoss: record.HasTrainLoss, TrainLoss: record.TrainLoss,
		HasTest: record.HasTest, TestLoss: record.TestLoss, TestAccuracy: record.TestAccuracy, TestTop5: record.TestTop5,
		WorkersUsed: maps.Clone(record.WorkersUsed), DigestStep: record.LastDigestStep,
		SubmittedUnixNanos: record.SubmittedUnixNanos, StartedUnixNanos: record.StartedUnixNanos, EndedUnixNanos: record.EndedUnixNanos,
		CheckpointStep: record.Checkpoint.GetStep(), CheckpointSha256: hexOf(record.Checkpoint.GetSha256()),
		Digest: hexOf(record.LastDigest), Turn: record.Turn,
	}
	recipe, err := job.ParseRecipe(record.Submit.Recipe)
	if err != nil {
		s.Reason = err.Error()
		return s
	}
	seq := recipe.Sequence()
	s.RecipeHash = recipe.Hash().String()
	s.Steps, s.Epochs = uint64(seq.Len()), uint32(seq.Epochs)
	s.TrainingStepsTotal = uint64(seq.Epochs * seq.TrainingPerEpoch())
	switch now := r.live.Load(); {
	case record.Phase == api.Phase_PHASE_PAUSED:
		s.Reason = fmt.Sprintf("paused: `coordinator job resume %s` lets it go on", s.Job)
	case record.Phase == api.Phase_PHASE_QUEUED && s.Job != active:
		s.Reason = fmt.Sprintf("waiting for job %s, which runs before it", active)
	case now.job == s.Job && !ended(record.Phase):
		now.addTo(s)
	}
	s.HasTestTop5 = s.HasTest && recipe.Data.Classes > 5
	if s.Step > 0 {
		s.Epoch = uint32(seq.At(int(s.Step)-1).Epoch) + 1
	}
	s.TrainingSteps = uint64(seq.TrainingBefore(int(s.Step)))
	if took := time.Duration(s.EndedUnixNanos - s.StartedUnixNanos); s.EndedUnixNanos > 0 && s.StartedUnixNanos > 0 && took > 0 {
		s.ImagesPerSecond = float64(imagesBefore(seq, int(s.Step))) / took.Seconds()
	}
	return s
}

func (now *live) addTo(s *api.JobStatus) {
	s.Step = max(s.Step, uint64(now.step))
	s.Reason, s.Workers, s.ImagesPerSecond = now.waiting, uint32(now.planned), now.perSecond
	f := now.figures
	if f.HasTrain {
		s.HasTrainLoss, s.TrainLoss = true, f.TrainLoss
	}
	if f.HasTest {
		s.HasTest, s.TestLoss, s.TestAccuracy, s.TestTop5 = true, f.TestLoss, f.TestAccuracy, f.TestTop5
	}
	if !f.Digest.IsZero() && uint64(f.DigestStep) >= s.DigestStep {
		s.Digest, s.DigestStep = f.Digest.String(), uint64(f.DigestStep)
	}
}

func hexOf(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return fmt.Sprintf("%x", b)
}

// Status shows the cluster as this replica sees it.
func (r *Replica) Status(ctx context.Context) *api.ClusterStatus {
	s := &api.ClusterStatus{Cluster: r.cfg.Cluster, Uid: r.control.uid(), ArithmeticVersion: job.ArithmeticVersion}
	active := ""
	_ = r.call(ctx, func() { // a replica that is stopping shows what it still knows
		s.Leader, s.Term = r.role.leader, r.role.term
		if r.runner != nil {
			active = r.runner.id()
		}
		s.Workers = r.workerStatus()
	})
	members := r.Members()
	if len(members) == 0 {
		members = []Member{{Server: r.cfg.Raft.self(r.cfg.ID)}}
	}
	s.Replicas = make([]*api.ReplicaStatus, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		s.Replicas[i] = &api.ReplicaStatus{Id: m.ID, Address: m.Address, RaftAddress: m.RaftAddress, Stage: stageJoining}
		if m.Voter {
			s.Replicas[i].Stage = stageVoter
		}
		asked.Go(func() { r.askStatus(ctx, m, s.Replicas[i], active) })
	}
	asked.Wait()
	return s
}

func (r *Replica) askStatus(ctx context.Context, m Member, s *api.ReplicaStatus, active string) {
	answer, err := r.heldBy(ctx, m, &api.HeldRequest{Job: active, Complete: !m.Voter})
	if err != nil {
		s.Problem = "does not answer: " + status.Convert(err).Message()
		return
	}
	s.Reachable, s.Nats = true, answer.Nats
	if answer.Ready {
		s.Job, s.Step = active, answer.Step
	}
	switch {
	case !answer.Nats:
		s.Problem = "not connected to NATS"
	case m.Voter:
	case !slices.ContainsFunc(answer.Members, func(a *api.Member) bool { return a.Id == m.ID }):
		s.Problem = "waits to be added: " + fmt.Sprintf("`coordinator cluster add %s=%s/%s`", m.ID, m.Address, m.RaftAddress)
	case answer.Lacks != "":
		s.Problem = "lacks " + answer.Lacks
	default:
		s.Stage = stageReady
	}
}

// workerStatus shows the workers heard of in the last seconds; it runs in the
// loop.
func (r *Replica) workerStatus() []*api.WorkerStatus {
	var all []*api.WorkerStatus
	now := time.Since(r.started)
	for id := range sorted(r.fleet) {
		w := r.fleet[id]
		if now-w.at > 5*time.Second {
			delete(r.fleet, id)
			continue
		}
		s := &api.WorkerStatus{Id: id, Job: w.job, Step: w.hello.Step, Threads: w.hello.Threads, Problem: w.hello.Problem}
		if why, is := inQuarantine(r.quarantined[id], w); is {
			s.Problem = "quarantined: " + why + ": test this machine, then start the worker again"
		}
		s.UpSeconds, s.ComputeSeconds = time.Duration(w.hello.UpNanos).Seconds(), time.Duration(w.hello.ComputeNanos).Seconds()
		if r.runner != nil && r.runner.machine.lead != nil {
			s.WaitSeconds = r.runner.machine.lead.waited[id].Seconds()
			for _, a := range r.runner.machine.lead.plan.assigned {
				if a.worker == id {
					s.Low, s.High = uint32(a.low), uint32(a.high)
				}
			}
		}
		all = append(all, s)
	}
	return all
}
