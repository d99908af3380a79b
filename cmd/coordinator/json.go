package main

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"convoy/api"
)

// The structs of this file are what -o json prints: names and types that
// programs may rely on. A value that does not exist yet is null or left out,
// never 0.

type statusJSON struct {
	Job                string            `json:"job"`
	Name               string            `json:"name"`
	Phase              string            `json:"phase"` // queued, running, pausing, paused, finished, failed, cancelled, suspect
	Reason             string            `json:"reason,omitempty"`
	Recipe             json.RawMessage   `json:"recipe,omitempty"`
	RecipeHash         string            `json:"recipe_hash"`
	Step               uint64            `json:"step"`  // done, evaluations included
	Steps              uint64            `json:"steps"` // of the whole job
	Committed          uint64            `json:"committed"`
	TrainingSteps      uint64            `json:"training_steps"`
	TrainingStepsTotal uint64            `json:"training_steps_total"`
	Epoch              uint32            `json:"epoch"` // 1-based
	Epochs             uint32            `json:"epochs"`
	TrainLoss          *float64          `json:"train_loss"`
	TestAccuracy       *float64          `json:"test_accuracy"` // 0 to 1
	TestLoss           *float64          `json:"test_loss"`
	TestTop5           *float64          `json:"test_top5"` // 0 to 1, where there are more than 5 classes
	ImagesPerSecond    float64           `json:"images_per_second"`
	Digest             string            `json:"digest,omitempty"`
	DigestStep         uint64            `json:"digest_step"`
	Workers            uint32            `json:"workers"`
	WorkersUsed        map[string]uint64 `json:"workers_used"` // accepted partials
	Submitted          string            `json:"submitted,omitempty"`
	Started            string            `json:"started,omitempty"`
	Ended              string            `json:"ended,omitempty"`
	CheckpointSHA256   string            `json:"checkpoint_sha256,omitempty"`
	CheckpointStep     uint64            `json:"checkpoint_step"`
	JobFile            string            `json:"job_file"`
}

func statusOf(s *api.JobStatus) statusJSON {
	j := statusJSON{
		Job: s.GetJob(), Name: s.GetName(), Phase: phaseName(s.GetPhase()), Reason: s.GetReason(),
		RecipeHash: s.GetRecipeHash(),
		Step:       s.GetStep(), Steps: s.GetSteps(), Committed: s.GetCommitted(),
		TrainingSteps: s.GetTrainingSteps(), TrainingStepsTotal: s.GetTrainingStepsTotal(),
		Epoch: s.GetEpoch(), Epochs: s.GetEpochs(),
		ImagesPerSecond: s.GetImagesPerSecond(),
		Digest:          s.GetDigest(), DigestStep: s.GetDigestStep(),
		Workers: s.GetWorkers(), WorkersUsed: used(s),
		Submitted: instant(s.GetSubmittedUnixNanos()), Started: instant(s.GetStartedUnixNanos()), Ended: instant(s.GetEndedUnixNanos()),
		CheckpointSHA256: s.GetCheckpointSha256(), CheckpointStep: s.GetCheckpointStep(),
		JobFile: s.GetJobFile(),
	}
	if json.Valid([]byte(s.GetRecipe())) {
		j.Recipe = json.RawMessage(s.GetRecipe())
	}
	if s.GetHasTrainLoss() {
		j.TrainLoss = &s.TrainLoss
	}
	if s.GetHasTest() {
		j.TestAccuracy, j.TestLoss = &s.TestAccuracy, &s.TestLoss
	}
	if s.GetHasTestTop5() {
		j.TestTop5 = &s.TestTop5
	}
	return j
}

func statusesOf(jobs []*api.JobStatus) []statusJSON {
	list := make([]statusJSON, len(jobs))
	for i, s := range jobs {
		list[i] = statusOf(s)
	}
	return list
}

// used is the map of accepted partials, empty rather than null.
func used(s *api.JobStatus) map[string]uint64 {
	if m := s.GetWorkersUsed(); m != nil {
		return m
	}
	return map[string]uint64{}
}

type clusterJSON struct {
	Cluster           string        `json:"cluster"`
	Leader            string        `json:"leader"`
	Term              uint64        `json:"term"`
	ArithmeticVersion uint32        `json:"arithmetic_version"`
	Replicas          []replicaJSON `json:"replicas"`
	Workers           []workerJSON  `json:"workers"`
}

type replicaJSON struct {
	ID          string `json:"id"`
	Address     string `json:"address"`
	RaftAddress string `json:"raft_address"`
	Stage       string `json:"stage"` // joining, ready, voter
	Reachable   bool   `json:"reachable"`
	NATS        bool   `json:"nats"`
	Job         string `json:"job,omitempty"`
	Step        uint64 `json:"step"`
	Problem     string `json:"problem,omitempty"`
}

type workerJSON struct {
	ID      string `json:"id"`
	Job     string `json:"job,omitempty"`
	Step    uint64 `json:"step"`
	Threads uint32 `json:"threads"`
	Low     uint32 `json:"low"`
	High    uint32 `json:"high"`
	Problem string `json:"problem,omitempty"`
}

func clusterOf(s *api.ClusterStatus) clusterJSON {
	j := clusterJSON{
		Cluster: s.GetCluster(), Leader: s.GetLeader(), Term: s.GetTerm(), ArithmeticVersion: s.GetArithmeticVersion(),
		Replicas: []replicaJSON{}, Workers: []workerJSON{},
	}
	for _, r := range s.GetReplicas() {
		j.Replicas = append(j.Replicas, replicaJSON{
			r.GetId(), r.GetAddress(), r.GetRaftAddress(), r.GetStage(), r.GetReachable(), r.GetNats(), r.GetJob(), r.GetStep(), r.GetProblem(),
		})
	}
	for _, w := range s.GetWorkers() {
		j.Workers = append(j.Workers, workerJSON{
			w.GetId(), w.GetJob(), w.GetStep(), w.GetThreads(), w.GetLow(), w.GetHigh(), w.GetProblem(),
		})
	}
	return j
}

// writeJSON prints one value for people's eyes and programs alike.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func phaseName(p api.Phase) string {
	return strings.ToLower(strings.TrimPrefix(p.String(), "PHASE_"))
}

// instant is a time in RFC 3339 and UTC; "" for none.
func instant(unixNanos int64) string {
	if unixNanos == 0 {
		return ""
	}
	return time.Unix(0, unixNanos).UTC().Format(time.RFC3339Nano)
}
