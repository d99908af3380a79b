package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"convoy/bench"
)

// writeDocument replaces the tables of the document, which stand between
// comments, by those of the raw files that are there.
func (s settings) writeDocument() error {
	b, err := os.ReadFile(s.document)
	if err != nil {
		return err
	}
	text := string(b)
	origins := &table{head: []string{"figures", "measured (UTC)", "Convoy", "processor", "system", "Go", "PyTorch", "cores used by others"}}
	for name, write := range map[string]func(*table) (string, error){
		"steps": s.stepsTable, "train": s.trainTable, "layers": s.layersTables, "errors": s.errorsTable,
	} {
		content, err := write(origins)
		if err != nil {
			return err
		}
		if text, err = replace(text, name, content); err != nil {
			return fmt.Errorf("%s: %w", s.document, err)
		}
	}
	slices.SortFunc(origins.rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	if text, err = replace(text, "origins", origins.String()); err != nil {
		return fmt.Errorf("%s: %w", s.document, err)
	}
	return os.WriteFile(s.document, []byte(text), 0o644)
}

// replace puts content between the comments that begin and end a part.
func replace(text, part, content string) (string, error) {
	begin, end := "<!-- begin "+part+" -->\n", "<!-- end "+part+" -->"
	before, rest, found := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("the comments %q and %q are missing", strings.TrimSpace(begin), end)
	}
	return before + begin + content + end + after, nil
}

// A table is Markdown's.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) String() string {
	if len(t.rows) == 0 {
		return "Not measured yet.\n"
	}
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.head)
	line(slices.Repeat([]string{"---"}, len(t.head)))
	for _, r := range t.rows {
		line(r)
	}
	return b.String()
}

// from adds a raw file's origin.
func (t *table) from(what string, o origin, others []float64) {
	t.add(what, o.Date, o.Revision, fmt.Sprintf("%s, %d CPUs", o.CPU, o.CPUs), o.OS, o.Go, o.Torch, number(median(others), 3))
}

func (s settings) stepsTable(origins *table) (string, error) {
	t := &table{head: []string{"training step", "batch", "Convoy, images/s", "PyTorch NCHW", "PyTorch NHWC", "ratio to the better one", "to reach", "Convoy, GFLOP/s"}}
	for _, m := range subjects {
		var f stepsFile
		found, err := readRaw(s.path("steps", m.model), &f)
		if err != nil {
			return "", err
		}
		if !found {
			continue
		}
		origins.from("steps of "+m.model, f.Origin, f.Others)
		rates := map[string][]float64{}
		for layout, list := range f.Torch {
			rates[layout] = each(list, func(r torchStep) float64 { return r.ImagesPerSec })
		}
		ours := each(f.Ours, func(r bench.StepResult) float64 { return r.ImagesPerSec })
		gflops := each(f.Ours, func(r bench.StepResult) float64 { return r.GFLOPS })
		t.add(m.title, fmt.Sprint(f.Batch), spread(ours, 4), spread(rates["nchw"], 4), spread(rates["nhwc"], 4),
			"**"+spread(ratios(ours, better(rates)), 3)+"**", fmt.Sprintf("%.1f", m.want), fmt.Sprintf("%.0f", median(gflops)))
	}
	return t.String(), nil
}

// better is the layout with the greater median.
func better(rates map[string][]float64) []float64 {
	if median(rates["nchw"]) > median(rates["nhwc"]) {
		return rates["nchw"]
	}
	return rates["nhwc"]
}

func (s settings) errorsTable(origins *table) (string, error) {
	var f errorsFile
	found, err := readRaw(s.path("errors", ""), &f)
	if err != nil {
		return "", err
	}
	t := &table{head: []string{"layer", "shape", "algorithm", "direction", "Convoy", "PyTorch NCHW", "PyTorch NHWC", "ratio to the smaller", "to NHWC"}}
	if found {
		origins.from("rounding errors", f.Origin, nil)
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
			row := []string{c.Case, c.Shape, c.Algorithm, d.name, number(ours*1e7, 3), number(nchw*1e7, 3), "", fmt.Sprintf("**%.2f**", ours/nchw), ""}
			if nhwc > 0 { // a matrix product has no layout
				row[6], row[7], row[8] = number(nhwc*1e7, 3), fmt.Sprintf("**%.2f**", ours/min(nchw, nhwc)), fmt.Sprintf("%.2f", ours/nhwc)
			}
			t.add(row...)
		}
	}
	return t.String(), nil
}

func each[T any](list []T, f func(T) float64) []float64 {
	values := make([]float64, len(list))
	for i, v := range list {
		values[i] = f(v)
	}
	return values
}

// ratios are those of the alternations, one by one.
func ratios(ours, theirs []float64) []float64 {
	n := min(len(ours), len(theirs))
	r := make([]float64, n)
	for i := range r {
		r[i] = ours[i] / theirs[i]
	}
	return r
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// spread is the median with the least and the greatest.
func spread(v []float64, digits int) string {
	if len(v) == 0 {
		return "–"
	}
	f := func(x float64) string { return number(x, digits) }
	return fmt.Sprintf("%s (%s–%s)", f(median(v)), f(slices.Min(v)), f(slices.Max(v)))
}

// number writes x with so many digits, without an exponent.
func number(x float64, digits int) string {
	for limit := 1.0; digits > 0 && x >= limit; limit *= 10 {
		digits--
	}
	if x < 1 {
		digits--
	}
	return fmt.Sprintf("%.*f", max(digits, 0), x)
}
