package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"convoy/bench"
	"convoy/bench/report"
	"convoy/kernels"
)

// The document is made of the raw files that are there; what stands around the
// tables stays.
func TestDocument(t *testing.T) {
	dir := t.TempDir()
	s := settings{raw: dir, document: filepath.Join(dir, "benchmarks.md")}
	page, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	write := func() string {
		t.Helper()
		if err := os.WriteFile(s.document, page, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := s.writeDocument(); err != nil {
			t.Fatal(err)
		}
		if page, err = os.ReadFile(s.document); err != nil {
			t.Fatal(err)
		}
		return string(page)
	}
	if got := strings.Count(write(), "Not measured yet."); got != 5 {
		t.Errorf("%d tables without figures, want 5", got)
	}
	rate := bench.Rate{MS: 2, GFLOPS: 100, Percent: 50}
	layer := bench.LayerResult{
		Layer:     bench.Layer{Model: "vgg11/4", Name: "3", Batch: 1000, Linear: &kernels.Linear{I: 100, O: 1000}},
		Algorithm: "matrix product", Forward: rate, BackwardData: rate, BackwardWeights: rate,
	}
	result := bench.KernelsResult{Peak: bench.Peak{GFLOPS: 200, GHz: 3.5}, Layers: []bench.LayerResult{layer}}
	slow := torchLayer{Forward: bench.Rate{MS: 4}, BackwardData: bench.Rate{MS: 4}, BackwardWeights: bench.Rate{MS: 4}}
	for part, v := range map[string]any{
		"steps": stepsFile{
			Model: "vgg11/4", Batch: 32, Ours: []bench.StepResult{{ImagesPerSec: 80}, {ImagesPerSec: 90}, {ImagesPerSec: 70}},
			Torch: map[string][]torchStep{"nchw": {{ImagesPerSec: 40}, {ImagesPerSec: 41}, {ImagesPerSec: 39}}, "nhwc": {{ImagesPerSec: 45}, {ImagesPerSec: 40}, {ImagesPerSec: 50}}},
		},
		"layers": layersFile{
			Threads: 2, Ours: []bench.KernelsResult{result}, One: []bench.KernelsResult{result}, Direct: result,
			Torch: map[string][][]torchLayer{"nchw": {{slow}}, "nhwc": {{slow}}},
		},
	} {
		if err := report.WriteRaw(s.path(part, "vgg11/4"), v); err != nil {
			t.Fatal(err)
		}
	}
	got := write()
	for _, want := range []string{
		"80.00 (70.00–90.00) | 40.00 (39.00–41.00) | 45.00 (40.00–50.00) | **1.78 (1.40–2.25)** | 1.8",
		"| 3 | 100 → 1000 | matrix product | data | 100.0 | 50 | 100.0 | 50 | 1.00 | 50.00 | **2.00 (2.00–2.00)** |",
		"steps of vgg11/4", "# How fast Convoy trains",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if again := write(); again != got {
		t.Error("written again it differs")
	}
}

func TestChoose(t *testing.T) {
	if got, err := choose("model", "vgg11, lenet", modelNames()); err != nil || !slices.Equal(got, []string{"vgg11", "lenet"}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := choose("model", "", modelNames()); err != nil || len(got) != len(subjects) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := choose("model", "lenot", modelNames()); err == nil || !strings.Contains(err.Error(), `no model "lenot"`) {
		t.Errorf("error %v", err)
	}
}
