package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"convoy/models"
)

func TestSample(t *testing.T) {
	calls := 0
	seconds, err := sample(t.Context(), 20*time.Millisecond, func() { calls++; time.Sleep(2 * time.Millisecond) })
	if err != nil || len(seconds) != measurements || calls <= measurements || seconds[0] < 0.002 || seconds[0] > seconds[len(seconds)-1] {
		t.Errorf("%v after %d calls, %v", seconds, calls, err)
	}
	if seconds, err = sample(t.Context(), time.Nanosecond, func() { time.Sleep(time.Millisecond) }); err != nil || len(seconds) != fewMeasurements {
		t.Errorf("%v, %v: want few measurements of a long call", seconds, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := sample(ctx, time.Hour, func() {}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

// Every geometry is there once, under the name of the first layer that has it.
func TestLayers(t *testing.T) {
	all, err := Layers("", 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, l := range all {
		if l.Batch != DefaultBatch(l.Model) || l.flops(forward) < 1 {
			t.Errorf("layer %+v", l)
		}
		if seen[l.Shape()] && l.Linear != nil {
			t.Errorf("%s %s: %s twice", l.Model, l.Name, l.Shape())
		}
		seen[l.Shape()] = true
	}
	if len(all) < 5 || all[0].Model != "lenet" || all[0].Name != "0" {
		t.Errorf("%d layers, the first %+v", len(all), all[0])
	}
	one, err := Layers("lenet", 3)
	if err != nil || len(one) != 4 || one[3].Shape() != "84 → 10" || one[3].flops(backwardData) != 3*2*840 ||
		one[0].Shape() != "1×28×28 → 16×5×5" || one[0].flops(backwardWeights) != 3*2*(117600+2*240000) {
		t.Errorf("%+v, %v", one, err)
	}
}

// The FLOPs of a step are three times the forward pass's, but for the first
// layer's input.
func TestStepFLOPs(t *testing.T) {
	for _, name := range models.Names()[:2] {
		net, err := build(name, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := stepFLOPs(net); got != 2*(3*416520-117600) {
			t.Errorf("%s: %d FLOPs", name, got)
		}
	}
}

// A step trains: the loss falls on the one batch that there is.
func TestStepTrains(t *testing.T) {
	o := StepOptions{Model: "lenet-relu", Batch: 5, MicroBatches: 8, Threads: 2, Time: time.Millisecond}
	first, err := Step(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	o.Time = 200 * time.Millisecond
	later, err := Step(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if later.Loss >= first.Loss || first.MS <= 0 || first.Min > first.ImagesPerSec || first.Max < first.ImagesPerSec {
		t.Errorf("first %+v, later %+v", first, later)
	}
}
