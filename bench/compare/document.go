package main

import (
	"fmt"
	"os"

	"convoy/bench"
	"convoy/bench/report"
)

// writeDocument replaces the tables of the document, which stand between
// comments, by those of the raw files that are there.
func (s settings) writeDocument() error {
	b, err := os.ReadFile(s.document)
	if err != nil {
		return err
	}
	text := string(b)
	origins := report.Origins()
	for name, write := range map[string]func(*report.Table) (string, error){
		"steps": s.stepsTable, "train": s.trainTable, "layers": s.layersTables, "errors": s.errorsTable,
	} {
		content, err := write(origins)
		if err != nil {
			return err
		}
		if text, err = report.Replace(text, name, content); err != nil {
			return fmt.Errorf("%s: %w", s.document, err)
		}
	}
	origins.Sort()
	if text, err = report.Replace(text, "origins", origins.String()); err != nil {
		return fmt.Errorf("%s: %w", s.document, err)
	}
	return os.WriteFile(s.document, []byte(text), 0o644)
}

func (s settings) stepsTable(origins *report.Table) (string, error) {
	t := &report.Table{Head: []string{"training step", "batch", "Convoy, images/s", "PyTorch NCHW", "PyTorch NHWC", "ratio to the better one", "to reach", "Convoy, GFLOP/s"}}
	for _, m := range subjects {
		var f stepsFile
		found, err := report.ReadRaw(s.path("steps", m.model), &f)
		if err != nil {
			return "", err
		}
		if !found {
			continue
		}
		origins.From("steps of "+m.model, f.Origin, f.Others)
		rates := map[string][]float64{}
		for layout, list := range f.Torch {
			rates[layout] = report.Each(list, func(r torchStep) float64 { return r.ImagesPerSec })
		}
		ours := report.Each(f.Ours, func(r bench.StepResult) float64 { return r.ImagesPerSec })
		gflops := report.Each(f.Ours, func(r bench.StepResult) float64 { return r.GFLOPS })
		t.Add(m.title, fmt.Sprint(f.Batch), report.Spread(ours, 4), report.Spread(rates["nchw"], 4), report.Spread(rates["nhwc"], 4),
			"**"+report.Spread(report.Ratios(ours, better(rates)), 3)+"**", fmt.Sprintf("%.1f", m.want), fmt.Sprintf("%.0f", report.Median(gflops)))
	}
	return t.String(), nil
}

// better is the layout with the greater median.
func better(rates map[string][]float64) []float64 {
	if report.Median(rates["nchw"]) > report.Median(rates["nhwc"]) {
		return rates["nchw"]
	}
	return rates["nhwc"]
}

func (s settings) errorsTable(origins *report.Table) (string, error) {
	var f errorsFile
	found, err := report.ReadRaw(s.path("errors", ""), &f)
	if err != nil {
		return "", err
	}
	t := &report.Table{Head: []string{"layer", "shape", "algorithm", "direction", "Convoy", "PyTorch NCHW", "PyTorch NHWC", "ratio to the smaller", "to NHWC"}}
	if found {
		origins.From("rounding errors", f.Origin, nil)
	}
	for _, c := range f.Cases {
		for _, d := range []struct {
			name string
			pick func(directions) float64
		}{
			{"forward", func(d directions) float64 { return d.Forward }},
			{"data", func(d directions) float64 { return d.BackwardData }},
			{"weights", func(d directions) float64 { return d.BackwardWeights }},
		} {
			ours, nchw, nhwc := d.pick(c.Ours), d.pick(c.Torch["nchw"]), d.pick(c.Torch["nhwc"])
			row := []string{c.Case, c.Shape, c.Algorithm, d.name, report.Number(ours*1e7, 3), report.Number(nchw*1e7, 3), "", fmt.Sprintf("**%.2f**", ours/nchw), ""}
			if nhwc > 0 { // a matrix product has no layout
				row[6], row[7], row[8] = report.Number(nhwc*1e7, 3), fmt.Sprintf("**%.2f**", ours/min(nchw, nhwc)), fmt.Sprintf("%.2f", ours/nhwc)
			}
			t.Add(row...)
		}
	}
	return t.String(), nil
}
