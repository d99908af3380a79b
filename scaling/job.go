package scaling

import (
	"context"
	"fmt"
	"strings"
	"time"

	"convoy/client"
	"convoy/data"
	"convoy/models"
)

// Job is a job that goes on for longer than anything is measured, on digits that
// are as large as the model wants them.
type Job struct {
	Model        string
	Batch        int // examples of a step
	MicroBatches int
	Workers      int // it waits for so many
	Wire         string
	WireUnit     int           // 0: the wire's own
	Simulate     time.Duration // what workers sleep instead of computing; 0: they compute
}

const (
	examples = 1 << 15 // of the data set: enough that evaluations are rare
	tests    = 8
	seed     = 1
)

// Submit hands the job in and returns its id.
func (j Job) Submit(ctx context.Context, cl *client.Client) (id string, err error) {
	file, err := j.file()
	if err != nil {
		return "", err
	}
	digits := data.Digits()
	about := digits.Manifest
	about.Name, about.Generator = "scaling", 0
	set, err := data.Import(about, first{digits.Train, examples}, first{digits.Test, tests})
	if err != nil {
		return "", err
	}
	s, err := cl.Submit(ctx, client.Submission{RequestID: fmt.Sprintf("scaling-%d", time.Now().UnixNano()), File: file, Data: set})
	return s.GetJob(), err
}

// first is the first n examples of a split.
type first struct {
	data.Split
	n int
}

func (f first) Len() int { return f.n }

func (j Job) file() ([]byte, error) {
	model, err := models.Lookup(j.Model)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "name: scaling\nmodel: %s\ndata: {name: scaling, dir: .}\n", j.Model)
	if in := model.Input; in.H != 28 || in.W != 28 {
		fmt.Fprintf(&b, "input: {resize: %dx%d}\n", in.H, in.W)
	}
	fmt.Fprintf(&b, "epochs: 10000\nbatch: %d\nmicro_batches: %d\nseed: %d\n", j.Batch, j.MicroBatches, seed)
	fmt.Fprintf(&b, "optimizer: {lr: 0.001}\nworkers: {min: %d}\n", j.Workers)
	if j.Wire != "" {
		fmt.Fprintf(&b, "wire: {format: %s, unit: %d}\n", j.Wire, j.WireUnit)
	}
	if j.Simulate > 0 {
		fmt.Fprintf(&b, "simulate_compute_ms: %d\n", j.Simulate.Milliseconds())
	}
	return []byte(b.String()), nil
}
