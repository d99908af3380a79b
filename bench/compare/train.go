package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"convoy/bench"
	"convoy/bench/report"
)

// trained are the models whose whole training, by `coordinator train` with its
// progress, Raft and ledger, is held beside the step alone.
var trained = []string{"lenet", "lenet-relu"}

// trainWant is the part of the step's speed that the training has to reach.
const trainWant = 0.8

// trainFile is both speeds in images/s, one of each for every alternation.
type trainFile struct {
	Origin report.Origin `json:"origin"`
	Model  string        `json:"model"`
	Batch  int           `json:"batch"`
	Step   []float64     `json:"step"`
	Train  []float64     `json:"train"`
	Others []float64     `json:"others"` // cores that other processes used
}

// train measures a model's step and its training in turn. A training is seconds
// long, so there are fewer alternations.
func (s settings) train(ctx context.Context, m subject) error {
	command := []string{
		s.coordinator, "train", "--model", m.model, "--batch", fmt.Sprint(m.batch), "--threads", fmt.Sprint(s.threads),
		"--epochs", "10", "--no-progress", "-o", "json",
	}
	f := trainFile{Origin: report.NewOrigin(strings.Join(command, " ")), Model: m.model, Batch: m.batch}
	for range (s.alternations + 1) / 2 {
		step, others, err := report.One[bench.StepResult](ctx, s.machine(), s.step(m)...)
		if err != nil {
			return err
		}
		speed, o, err := s.trainOnce(ctx, command)
		if err != nil {
			return err
		}
		others = max(others, o)
		report.Progress("%s: %.5g images/s in steps, %.5g in training", m.model, step.ImagesPerSec, speed)
		f.Step, f.Train, f.Others = append(f.Step, step.ImagesPerSec), append(f.Train, speed), append(f.Others, others)
	}
	return report.WriteRaw(s.path("train", m.model), f)
}

// trainOnce trains into a folder that is removed, and returns the images/s.
func (s settings) trainOnce(ctx context.Context, command []string) (speed, others float64, err error) {
	dir, err := os.MkdirTemp("", "train-*")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	text, others, err := s.machine().Quietly(func(attempt int) (string, float64, error) {
		return s.machine().CallOnce(ctx, append(command, "--out", filepath.Join(dir, fmt.Sprint(attempt)))...)
	})
	if err != nil {
		return 0, 0, err
	}
	var result struct {
		ImagesPerSec float64 `json:"images_per_second"`
	}
	err = json.Unmarshal([]byte(text), &result)
	return result.ImagesPerSec, others, err
}

func (s settings) trainTable(origins *report.Table) (string, error) {
	t := &report.Table{Head: []string{"model", "batch", "step, images/s", "coordinator train, images/s", "ratio", "to reach"}}
	for _, m := range subjects {
		var f trainFile
		found, err := report.ReadRaw(s.path("train", m.model), &f)
		if err != nil {
			return "", err
		}
		if found {
			origins.From("training of "+m.model, f.Origin, f.Others)
			t.Add(m.title, fmt.Sprint(f.Batch), report.Spread(f.Step, 4), report.Spread(f.Train, 4), "**"+report.Spread(report.Ratios(f.Train, f.Step), 3)+"**", fmt.Sprint(trainWant))
		}
	}
	return t.String(), nil
}
