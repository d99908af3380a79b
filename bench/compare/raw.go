package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"convoy/bench"
)

// origin says where and when a raw file's figures come from.
type origin struct {
	Date     string `json:"date"`     // UTC
	Revision string `json:"revision"` // of Convoy
	CPU      string `json:"cpu"`
	CPUs     int    `json:"cpus"`
	OS       string `json:"os"`
	Go       string `json:"go"`
	Torch    string `json:"torch"` // Debian's package
	Command  string `json:"command"`
}

func (s settings) origin(command string) origin {
	return origin{
		Date: time.Now().UTC().Format("2006-01-02 15:04"), Revision: revision(),
		CPU: cpu(), CPUs: runtime.NumCPU(), OS: output("uname", "-sr"), Go: runtime.Version(),
		Torch:   output("dpkg-query", "--show", "--showformat", "${Version}", "python3-torch"),
		Command: command,
	}
}

// output is the first line that a command prints, or "unknown".
func output(name string, args ...string) string {
	b, err := exec.Command(name, args...).Output()
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if err != nil || line == "" {
		return "unknown"
	}
	return line
}

func revision() string {
	return output("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
}

// cpu names the processor: virtual machines give several kinds one name, so
// family and model stand behind it.
func cpu() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	value := func(key string) string {
		m := regexp.MustCompile(`(?m)^` + key + `\s*:\s*(.*)$`).FindSubmatch(b)
		if m == nil {
			return "unknown"
		}
		return string(m[1])
	}
	if err != nil || value("model name") == "unknown" {
		return "unknown, " + runtime.GOARCH
	}
	return fmt.Sprintf("%s, family %s, model %s", value("model name"), value("cpu family"), value("model"))
}

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
	Origin  origin                 `json:"origin"`
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
	Origin  origin                    `json:"origin"`
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
	Origin origin      `json:"origin"`
	Cases  []errorLine `json:"cases"`
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

func writeRaw(path string, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// readRaw reads a raw file; there may be none.
func readRaw(path string, v any) (found bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(b, v)
}

// lines reads JSON lines.
func lines[T any](text string) ([]T, error) {
	var list []T
	for scan := bufio.NewScanner(strings.NewReader(text)); scan.Scan(); {
		var v T
		if err := json.Unmarshal(scan.Bytes(), &v); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}
