package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"convoy/bench"
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
		if err := writeRaw(s.path(part, "vgg11/4"), v); err != nil {
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

func TestNumber(t *testing.T) {
	for want, c := range map[string]struct {
		x      float64
		digits int
	}{
		"61235": {61234.5678, 4}, "2345": {2345.4, 4}, "34.81": {34.812, 4}, "4.07": {4.068, 3}, "0.82": {0.823, 3}, "0.00": {0, 3},
	} {
		if got := number(c.x, c.digits); got != want {
			t.Errorf("%g with %d digits: %s, want %s", c.x, c.digits, got, want)
		}
	}
}

func TestParseBusy(t *testing.T) {
	text := "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 2 30 1000 50 1 2 5 0 0\ncpu1 1 0 0 0 0 0 0 0 0 0\nintr 1\n"
	if sum, ok := parseBusy(text, 1); !ok || sum != 1400*time.Millisecond {
		t.Errorf("%v, %v", sum, ok)
	}
	if _, ok := parseBusy("", 1); ok {
		t.Error("nothing was read")
	}
}

func TestQuietly(t *testing.T) {
	s := settings{threads: 0} // no core is waited for
	calls := 0
	noisy := func(int) (string, float64, error) { calls++; return "text", 1 - float64(calls)*0.3, nil }
	if text, others, err := s.quietly(noisy); text != "text" || calls != 3 || others > quiet || err != nil {
		t.Errorf("%q after %d calls with %g, %v", text, calls, others, err)
	}
	always := func(int) (string, float64, error) { calls++; return "text", 1, nil }
	if _, _, err := s.quietly(always); err == nil || calls != 3+patience {
		t.Errorf("%d calls, %v", calls, err)
	}
	s.disturbed = true
	if text, _, err := s.quietly(always); text != "text" || err != nil {
		t.Errorf("%q, %v", text, err)
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
