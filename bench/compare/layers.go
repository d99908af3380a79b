package main

import (
	"fmt"
	"strings"

	"convoy/bench"
	"convoy/bench/report"
)

// layersTables are one table for each model.
func (s settings) layersTables(origins *report.Table) (string, error) {
	var text strings.Builder
	for _, m := range subjects {
		var f layersFile
		found, err := report.ReadRaw(s.path("layers", m.model), &f)
		if err != nil {
			return "", err
		}
		if found && len(f.Ours) > 0 {
			origins.From("layers of "+m.model, f.Origin, f.Others)
			text.WriteString("### " + m.title + "\n\n" + f.text() + "\n")
		}
	}
	if text.Len() == 0 {
		return "Not measured yet.\n", nil
	}
	return text.String(), nil
}

// A direction is one of the three things that are measured of a layer.
type direction struct {
	name   string
	ours   func(bench.LayerResult) bench.Rate
	theirs func(torchLayer) bench.Rate
}

var directionList = []direction{
	{"forward", func(r bench.LayerResult) bench.Rate { return r.Forward }, func(r torchLayer) bench.Rate { return r.Forward }},
	{"data", func(r bench.LayerResult) bench.Rate { return r.BackwardData }, func(r torchLayer) bench.Rate { return r.BackwardData }},
	{"weights", func(r bench.LayerResult) bench.Rate { return r.BackwardWeights }, func(r torchLayer) bench.Rate { return r.BackwardWeights }},
}

func (f layersFile) text() string {
	peak := func(list []bench.KernelsResult) string {
		gflops := report.Each(list, func(r bench.KernelsResult) float64 { return r.GFLOPS })
		clock := report.Each(list, func(r bench.KernelsResult) float64 { return r.GHz })
		return fmt.Sprintf("%.0f GFLOP/s at %.2f GHz", report.Median(gflops), report.Median(clock))
	}
	t := &report.Table{Head: []string{
		"layer", "shape", "algorithm", "direction", "1 thread", "% of peak",
		fmt.Sprintf("%d threads", f.Threads), "% of peak", "÷ 1 thread", "PyTorch", "ratio",
	}}
	for i, l := range f.Ours[0].Layers {
		for _, d := range directionList {
			if d.ours(l).MS > 0 {
				t.Add(f.row(i, d)...)
			}
		}
		if direct, found := f.direct(l); found && direct.Algorithm != l.Algorithm {
			for _, d := range directionList {
				r := direct
				t.Add(r.Name, r.Shape(), r.Algorithm, d.name, fmt.Sprintf("%.1f", d.ours(r).GFLOPS), fmt.Sprintf("%.0f", d.ours(r).Percent), "", "", "", "", "")
			}
		}
	}
	for i, n := range f.Ours[0].Networks {
		forward := func(r bench.KernelsResult) float64 { return r.Networks[i].Forward.GFLOPS }
		percent := func(r bench.KernelsResult) float64 { return r.Networks[i].Forward.Percent }
		t.Add(n.Model, "the whole network", "", "forward", report.Number(report.Median(report.Each(f.One, forward)), 4), fmt.Sprintf("%.0f", report.Median(report.Each(f.One, percent))),
			report.Number(report.Median(report.Each(f.Ours, forward)), 4), fmt.Sprintf("%.0f", report.Median(report.Each(f.Ours, percent))),
			report.Number(report.Median(report.Ratios(report.Each(f.Ours, forward), report.Each(f.One, forward))), 3), "", "")
	}
	return fmt.Sprintf("Batch %d, %s. Peak with 1 thread: %s; with %d: %s.\n\n%s",
		f.Ours[0].Layers[0].Batch, f.Ours[0].Implementation, peak(f.One), f.Threads, peak(f.Ours), t)
}

// direct is what the direct algorithm did on the convolution of l.
func (f layersFile) direct(l bench.LayerResult) (bench.LayerResult, bool) {
	for _, d := range f.Direct.Layers {
		if l.Conv != nil && d.Conv != nil && *d.Conv == *l.Conv {
			return d, true
		}
	}
	return bench.LayerResult{}, false
}

// row is one direction of layer i.
func (f layersFile) row(i int, d direction) []string {
	l := f.Ours[0].Layers[i]
	gflops := func(r bench.KernelsResult) float64 { return d.ours(r.Layers[i]).GFLOPS }
	percent := func(r bench.KernelsResult) float64 { return d.ours(r.Layers[i]).Percent }
	rates := map[string][]float64{}
	for layout, runs := range f.Torch {
		rates[layout] = report.Each(runs, func(r []torchLayer) float64 { return d.ours(l).GFLOPS * d.ours(l).MS / d.theirs(r[i]).MS })
	}
	ours, single, torch := report.Each(f.Ours, gflops), report.Each(f.One, gflops), better(rates)
	name := d.name
	if l.Stages != nil && name == "weights" {
		name = "data and weights"
	}
	return []string{
		l.Name, l.Shape(), l.Algorithm, name,
		report.Number(report.Median(single), 4), fmt.Sprintf("%.0f", report.Median(report.Each(f.One, percent))),
		report.Number(report.Median(ours), 4), fmt.Sprintf("%.0f", report.Median(report.Each(f.Ours, percent))), report.Number(report.Median(report.Ratios(ours, single)), 3),
		report.Number(report.Median(torch), 4), "**" + report.Spread(report.Ratios(ours, torch), 3) + "**",
	}
}
