package main

import (
	"path/filepath"
	"strings"

	"convoy/bench"
	"convoy/bench/report"
)

// torchStep is a line of bench_train.py.
type torchStep struct {
	ImagesPerSec float64   `json:"images_per_second"`
	Min          float64   `json:"min"`
	Max          float64   `json:"max"`
	GFLOPS       float64   `json:"gflops"`
	MS           float64   `json:"ms"`
	OtherCores   []float64 `json:"other_cores"`
}

// stepsFile is a model's training steps, one of each for every alternation.
type stepsFile struct {
	Origin  report.Origin          `json:"origin"`
	Model   string                 `json:"model"`
	Batch   int                    `json:"batch"`
	Threads int                    `json:"threads"`
	Ours    []bench.StepResult     `json:"ours"`
	Torch   map[string][]torchStep `json:"torch"`  // by layout
	Others  []float64              `json:"others"` // cores that other processes used
}

// torchLayer is a line of bench_layers.py.
type torchLayer struct {
	Layer           string     `json:"layer"`
	Forward         bench.Rate `json:"forward"` // times alone
	BackwardData    bench.Rate `json:"backward_data"`
	BackwardWeights bench.Rate `json:"backward_weights"`
	OtherCores      float64    `json:"other_cores"`
}

// layersFile is a model's layers, all of them for every alternation.
type layersFile struct {
	Origin  report.Origin             `json:"origin"`
	Model   string                    `json:"model"`
	Threads int                       `json:"threads"`
	Ours    []bench.KernelsResult     `json:"ours"`
	Torch   map[string][][]torchLayer `json:"torch"`      // by layout
	One     []bench.KernelsResult     `json:"one_thread"` // ours
	Direct  bench.KernelsResult       `json:"direct"`     // ours, with one thread
	Others  []float64                 `json:"others"`     // cores that other processes used
}

// directions are the relative errors of a layer's three results.
type directions struct {
	Forward         float64 `json:"forward"`
	BackwardData    float64 `json:"backward_data"`
	BackwardWeights float64 `json:"backward_weights"`
}

// errorLine is a line of kernel_error.py.
type errorLine struct {
	Case      string                `json:"case"`
	Shape     string                `json:"shape"`
	Algorithm string                `json:"algorithm"`
	Ours      directions            `json:"ours"`
	Torch     map[string]directions `json:"torch"` // by layout
}

type errorsFile struct {
	Origin report.Origin `json:"origin"`
	Cases  []errorLine   `json:"cases"`
}

// layouts are PyTorch's memory formats.
var layouts = []string{"nchw", "nhwc"}

// path is where a raw file is: steps-vgg11-4.json.
func (s settings) path(part, model string) string {
	if model != "" {
		part += "-" + strings.ReplaceAll(model, "/", "-")
	}
	return filepath.Join(s.raw, part+".json")
}
