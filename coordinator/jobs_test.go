package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"convoy/api"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
)

func TestSubmitTwiceIsOneJob(t *testing.T) {
	c := startCluster(t, 2)
	var calls sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		jobs := c.jobs([]string{"r1", "r2"}[i%2])
		calls.Go(func() {
			reply, err := jobs.Submit(c.ctx(), &api.SubmitRequest{RequestId: "one-request-of-many", JobFile: []byte(digitsJob)})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = reply.Job.Job
		})
	}
	calls.Wait()
	for _, id := range ids {
		if id != job.ID("lenet-relu", "one-request-of-many") {
			t.Errorf("job %q, want the one that the request names", id)
		}
	}
	list, err := c.jobs("r1").List(c.ctx(), &api.ListRequest{})
	if err != nil || len(list.Jobs) != 1 {
		t.Errorf("%v, %v: want one job", list, err)
	}
	before := c.group.submits()
	if again := c.jobs("r1"); again != nil {
		_, err := again.Submit(c.ctx(), &api.SubmitRequest{RequestId: "one-request-of-many", JobFile: []byte(digitsJob)})
		if err != nil || c.group.submits() != before {
			t.Errorf("a retry: %v, %d entries, want none new after %d", err, c.group.submits(), before)
		}
	}
}

func TestSubmitWritesWhatWasResolved(t *testing.T) {
	c := startCluster(t, 1)
	id := c.submit("r1")
	var submit *api.JobSubmit
	for _, e := range c.group.entries {
		if e.GetJobSubmit() != nil {
			submit = e.GetJobSubmit()
		}
	}
	recipe, err := job.ParseRecipe(submit.GetRecipe())
	if err != nil {
		t.Fatal(err)
	}
	set, err := data.Open("digits", "")
	if err != nil {
		t.Fatal(err)
	}
	if recipe.Model != "lenet-relu" || recipe.Data.Manifest != set.Manifest.Digest().String() || recipe.Batch != 256 {
		t.Errorf("recipe %+v: not the job file's", recipe)
	}
	if submit.Job != id || submit.WorkersMin != 1 || !strings.Contains(string(submit.JobFile), "batch: 256") {
		t.Errorf("entry %+v: not the resolved job file", submit)
	}
	sum := set.Manifest.Digest()
	if m := c.group.control.Manifests; len(m) != 1 || !bytes.Equal(m[0], sum[:]) {
		t.Errorf("committed data sets %x, want %s before the job", m, sum)
	}
}

// squares is a tiny data set of the given side.
type squares struct{ side, n int }

func (s squares) Len() int { return s.n }

func (s squares) Example(i int, pixels []byte) int {
	for j := range pixels {
		pixels[j] = byte(i + j)
	}
	return i % 10
}

func tinySet(t *testing.T, name string, side int) *data.Set {
	t.Helper()
	set, err := data.Import(data.Manifest{Name: name, Train: 40, Test: 20, Classes: 10, Channels: 1, Height: side, Width: side}, squares{side, 40}, squares{side, 20})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestSubmitRefuses(t *testing.T) {
	c := startCluster(t, 1)
	tiny := tinySet(t, "mnist", 4).Manifest.Canonical()
	other := tinySet(t, "fashion-mnist", 28).Manifest.Canonical()
	mnist := "model: lenet-relu\ndata: {name: mnist, dir: /data}\n"
	for _, tt := range []struct {
		name, request, file string
		manifest            []byte
		want                string
	}{
		{"request id short", "short", digitsJob, nil, "request id"},
		{"request id with capitals", "REQUEST-OF-A-TEST-01", digitsJob, nil, "request id"},
		{"no YAML", "", "model: [", nil, "job file"},
		{"unknown key", "", digitsJob + "batsh: 3\n", nil, "3:1"},
		{"unknown model", "", "model: lenot\ndata: digits\n", nil, "1:8"},
		{"unknown data", "", "model: lenet-relu\ndata: digit\n", nil, `did you mean "digits"`},
		{"no manifest", "", mnist, nil, "without a manifest"},
		{"manifest garbage", "", mnist, []byte("{"), "manifest"},
		{"manifest of another set", "", mnist, other, "fashion-mnist"},
		{"manifest for digits", "", digitsJob, other, "same release"},
		{"network does not fit", "", mnist, tiny, "lenet-relu"},
		{"network too long", "", "model: {layers: [" + strings.Repeat("{type: conv, out: 1, kernel: 1}, ", 600) + "{type: flatten}, {type: linear, out: 10}]}\ndata: digits\n", nil, "shorten model.layers"},
		{"network of other classes", "", "data: digits\nmodel: {layers: [{type: flatten}, {type: linear, out: 12}]}\n", nil, "2:17: model network on data set digits: the network ends in 12 values, the data has 10 classes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.request == "" {
				tt.request = "request-of-a-test-02"
			}
			_, err := c.jobs("r1").Submit(c.ctx(), &api.SubmitRequest{RequestId: tt.request, JobFile: []byte(tt.file), Manifest: tt.manifest})
			wantCode(t, err, codes.InvalidArgument)
			if !strings.Contains(status.Convert(err).Message(), tt.want) {
				t.Errorf("error %q, want it to tell %q", err, tt.want)
			}
		})
	}
	if len(c.group.entries) != 0 {
		t.Errorf("the log has %v, want nothing", c.group.entries)
	}
}

func TestCancelTwice(t *testing.T) {
	c := startCluster(t, 1)
	id := c.submit("r1")
	for range 2 {
		j, err := c.jobs("r1").Cancel(c.ctx(), &api.JobRequest{Job: id})
		if err != nil || j.Phase != api.Phase_PHASE_CANCELLED {
			t.Errorf("%v, %v: want it cancelled", j, err)
		}
	}
	_, err := c.jobs("r1").Cancel(c.ctx(), &api.JobRequest{Job: "nobody"})
	wantCode(t, err, codes.NotFound)
	_, err = c.jobs("r1").Cancel(c.ctx(), &api.JobRequest{})
	wantCode(t, err, codes.InvalidArgument)
}

// TestPauseAndResumeOnce: a call that is made again, or late, after others have
// decided too, changes nothing.
func TestPauseAndResumeOnce(t *testing.T) {
	c := startCluster(t, 2)
	id := c.submit("r1")
	jobs := c.jobs("r2")
	turn := func(n uint64) *api.TurnRequest { return &api.TurnRequest{Job: id, Turn: &n} }
	type call = func(context.Context, *api.TurnRequest, ...grpc.CallOption) (*api.JobStatus, error)
	for i, tt := range []struct {
		call  call
		req   *api.TurnRequest
		phase api.Phase
		turn  uint64 // after it
	}{
		{jobs.Resume, turn(0), api.Phase_PHASE_QUEUED, 0},
		{jobs.Pause, turn(0), api.Phase_PHASE_PAUSED, 1},
		{jobs.Pause, turn(0), api.Phase_PHASE_PAUSED, 1},
		{jobs.Pause, turn(1), api.Phase_PHASE_PAUSED, 1},
		{jobs.Resume, turn(1), api.Phase_PHASE_QUEUED, 2},
		{jobs.Pause, turn(0), api.Phase_PHASE_QUEUED, 2}, // a retry of long ago
		{jobs.Resume, turn(1), api.Phase_PHASE_QUEUED, 2},
		{jobs.Pause, turn(7), api.Phase_PHASE_QUEUED, 2},
		{jobs.Pause, &api.TurnRequest{Job: id}, api.Phase_PHASE_PAUSED, 3},
		{jobs.Resume, &api.TurnRequest{Job: id}, api.Phase_PHASE_QUEUED, 4},
	} {
		if j, err := tt.call(c.ctx(), tt.req); err != nil || j.Phase != tt.phase || j.Turn != tt.turn {
			t.Errorf("call %d: %v at turn %d, %v; want %v at turn %d", i, j.GetPhase(), j.GetTurn(), err, tt.phase, tt.turn)
		}
	}
	c.group.set(id, func(j *api.JobStatus) { j.Phase = api.Phase_PHASE_FINISHED })
	for _, call := range []call{jobs.Pause, jobs.Resume} {
		_, err := call(c.ctx(), turn(4))
		wantCode(t, err, codes.FailedPrecondition)
		_, err = call(c.ctx(), &api.TurnRequest{Job: "nobody"})
		wantCode(t, err, codes.NotFound)
		_, err = call(c.ctx(), &api.TurnRequest{})
		wantCode(t, err, codes.InvalidArgument)
	}
}

func TestLogsMergeAllReplicas(t *testing.T) {
	c := startCluster(t, 3)
	line := func(replica string, nanos int64) *api.LogLine {
		return &api.LogLine{Replica: replica, UnixNanos: nanos, Text: fmt.Sprint(replica, nanos)}
	}
	c.fakes["r1"].lines = []*api.LogLine{line("r1", 1), line("r1", 4)}
	c.fakes["r2"].lines = []*api.LogLine{line("r2", 2), line("r2", 4)}
	c.fakes["r3"].lines = []*api.LogLine{line("r3", 3)}
	id := c.submit("r1")
	c.stops["r3"]() // logs are worth reading without one replica's
	c.group.set(id, func(j *api.JobStatus) { j.Phase = api.Phase_PHASE_FINISHED })
	for _, follow := range []bool{false, true} {
		stream, err := c.jobs("r2").Logs(c.ctx(), &api.LogsRequest{Job: id, Follow: follow})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			l, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, l.Text)
		}
		if fmt.Sprint(got) != "[r11 r22 r14 r24]" {
			t.Errorf("follow %t: lines %v, want them by time", follow, got)
		}
	}
}

func (c *cluster) model(id, job string) ([]byte, error) {
	stream, err := c.jobs(id).Model(c.ctx(), &api.JobRequest{Job: job})
	if err != nil {
		return nil, err
	}
	var file []byte
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return file, nil
		}
		if err != nil {
			return file, err
		}
		file = append(file, piece.Data...)
	}
}

func TestModelComesFromAnyReplicaThatHasIt(t *testing.T) {
	c := startCluster(t, 3)
	id := c.submit("r1")
	_, err := c.model("r2", id)
	wantCode(t, err, codes.FailedPrecondition)

	want := bytes.Repeat([]byte("convoy"), 400_000)
	path := filepath.Join(t.TempDir(), "model")
	if err := os.WriteFile(path, want, 0o644); err != nil {
		t.Fatal(err)
	}
	sum := digest.Of(want)
	c.fakes["r3"].checkpoint = path
	c.fakes["r3"].record = &api.CheckpointRecord{Job: id, Step: 7, Sha256: sum[:]}
	c.group.set(id, func(j *api.JobStatus) { j.CheckpointStep, j.CheckpointSha256 = 7, sum.String() })
	for _, asked := range []string{"r1", "r2", "r3"} {
		got, err := c.model(asked, id)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want the %d of the file", asked, len(got), err, len(want))
		}
	}
	want[0]++
	if err := os.WriteFile(path, want, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = c.model("r1", id)
	wantCode(t, err, codes.DataLoss)
}
