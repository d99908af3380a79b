package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"convoy/bench/report"
	"convoy/scaling"
)

// The document is made of the raw files that are there; what stands around the
// tables stays.
func TestDocument(t *testing.T) {
	dir := t.TempDir()
	page, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	s := settings{raw: dir, document: filepath.Join(dir, "reliability.md")}
	write := func() string {
		t.Helper()
		if err := os.WriteFile(s.document, page, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := s.writeDocument(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(s.document)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got := strings.Count(write(), "Not measured yet."); got != len(parts)+1 {
		t.Errorf("%d tables without figures, want %d", got, len(parts)+1)
	}
	points := func(rates ...float64) (list []scaling.Point) {
		for _, r := range rates {
			list = append(list, scaling.Point{ImagesPerSec: r, StepMS: 52, Compute: 0.5, Wait: 0.25, Communication: 0.25})
		}
		return list
	}
	for part, v := range map[string]any{
		"recovery": recoveryFile{Model: "lenet-relu", Batch: 256, StepMS: 5, Seconds: map[string][]float64{"kill-leader": {0.5, 0.25, 1.25}}},
		"replicas": speedsFile{Lines: []speedLine{
			{Model: "lenet", Batch: 256, Wire: "fp32", Replicas: 1, Points: points(100, 200, 400)},
			{Model: "lenet", Batch: 256, Wire: "fp32", Replicas: 3, Points: points(90, 180, 360)},
		}},
		"coordination": speedsFile{Lines: []speedLine{{Model: "lenet", SimulateMS: 50, Replicas: 3, Workers: 64, Points: points(1)}}},
		"ddp": ddpFile{Lines: []ddpLine{{
			Model: "lenet", Batch: 256, Want: 3, Points: points(300, 400, 500), OneProc: []float64{600, 500, 400},
			Torch: []ddpTorch{{ImagesPerSec: 100}, {ImagesPerSec: 100}, {ImagesPerSec: 100}},
		}}},
		"memory": memoryFile{Lines: []memoryLine{{Model: "alexnet", Batch: 32, MiB: map[string]float64{"r1": 700, "w2": 555}}}},
	} {
		if err := report.WriteRaw(s.path(part), v); err != nil {
			t.Fatal(err)
		}
	}
	text := write()
	for _, row := range []string{
		"| the leader is killed | 3 | **0.500** | 1.250 | 1.250 | 1.5 |",
		"| lenet | 256 | fp32 | 3 | 180.0 (90.00–360.0) | **0.90 (0.90–0.90)** | 50 % | 25 % | 25 % |",
		"| lenet | 64 | 3 | 50 | 52.00 (52.00–52.00) | 2.00 (2.00–2.00) |",
		"| lenet | 256 | 400.0 (300.0–500.0) | 100.0 (100.0–100.0) | **4.00 (3.00–5.00)** | 3 |",
		"| alexnet | 32 | 700 | 0 | 0 | 0 | 555 | 0 |",
	} {
		if !strings.Contains(text, row) {
			t.Errorf("the document lacks %s:\n%s", row, text)
		}
	}
}

func TestPercentile(t *testing.T) {
	v := []float64{1, 2, 3, 4}
	if p50, p99 := percentile(v, 50), percentile(v, 99); p50 != 2 || p99 != 4 {
		t.Errorf("p50 %g, p99 %g, want 2 and 4", p50, p99)
	}
}
