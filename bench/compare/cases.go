package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"convoy/bench"
	"convoy/bench/report"
	"convoy/floats"
	"convoy/kernels"
)

// A geometry is a layer whose rounding error is looked at, with a batch that
// keeps the file small.
type geometry struct {
	name  string
	layer bench.Layer
}

func convolution(name string, n, c, size, o, kernel, pad int) geometry {
	return geometry{name, bench.Layer{Batch: n, Conv: &kernels.Conv{
		C: c, H: size, W: size, O: o, KH: kernel, KW: kernel, StrideH: 1, StrideW: 1, PadH: pad, PadW: pad,
	}}}
}

func fullyConnected(name string, n, i, o int) geometry {
	return geometry{name, bench.Layer{Batch: n, Linear: &kernels.Linear{I: i, O: o}}}
}

// geometries are layers of the sizes that networks have, with sums from 256 to
// 25088 products.
var geometries = []geometry{
	convolution("AlexNet", 4, 96, 26, 256, 5, 2),
	convolution("VGG", 2, 256, 56, 256, 3, 1),
	convolution("VGG", 4, 512, 14, 512, 3, 1),
	convolution("GoogLeNet", 16, 96, 12, 128, 3, 1),
	convolution("1×1, K = 1024", 16, 1024, 7, 256, 1, 0),
	fullyConnected("K = 9216", 32, 9216, 4096),
	fullyConnected("K = 25088", 32, 25088, 1024),
}

// A caseFile describes one case for kernel_error.py. Feature maps are NHWC.
type caseFile struct {
	Name       string           `json:"name"`
	ShapeText  string           `json:"shape"`
	Conv       *kernels.Conv    `json:"convolution,omitempty"`
	Linear     *kernels.Linear  `json:"fully_connected,omitempty"`
	Shapes     map[string][]int `json:"shapes"`
	Algorithms []caseAlgorithm  `json:"algorithms"`
}

type caseAlgorithm struct {
	Name string `json:"name"`
	File string `json:"file"` // part of the names of the results' files
}

// writeCases computes every geometry by every algorithm and writes inputs and
// results to dir: x behind a ReLU, weights of variance 2/K, and gradients that a
// ReLU let through or not.
func writeCases(dir string, threads int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	pool := kernels.NewPool(threads)
	defer pool.Close()
	for i, g := range geometries {
		w := caseWriter{prefix: filepath.Join(dir, fmt.Sprintf("%02d", i)), pool: pool, n: g.layer.Batch, r: rand.New(rand.NewPCG(1, uint64(i)))}
		w.file = caseFile{Name: g.name, ShapeText: g.layer.Shape(), Conv: g.layer.Conv, Linear: g.layer.Linear}
		if g.layer.Conv != nil {
			w.convolution(*g.layer.Conv)
		} else {
			w.fullyConnected(*g.layer.Linear)
		}
		if w.err == nil {
			w.err = report.WriteRaw(w.prefix+".json", w.file)
		}
		if w.err != nil {
			return w.err
		}
	}
	return nil
}

// A caseWriter writes one case; its first error stays.
type caseWriter struct {
	prefix    string
	pool      *kernels.Pool
	n         int
	r         *rand.Rand
	file      caseFile
	x, w, gy  []float32
	y, gx, gw []float32
	err       error
}

func (w *caseWriter) convolution(s kernels.Conv) {
	w.file.Shapes = map[string][]int{
		"x": {w.n, s.H, s.W, s.C}, "w": {s.O, s.C, s.KH, s.KW}, "gy": {w.n, s.OutH(), s.OutW(), s.O},
		"y": {w.n, s.OutH(), s.OutW(), s.O}, "gx": {w.n, s.H, s.W, s.C}, "gw": {s.O, s.C, s.KH, s.KW},
	}
	w.inputs(w.n*s.In(), s.Weights(), w.n*s.Out(), s.C*s.KH*s.KW)
	for _, direct := range []bool{true, false} {
		c := kernels.NewConvolution(s, direct)
		if !direct && c.Algorithm() == w.file.Algorithms[0].Name {
			break
		}
		c.Pack(w.pool, w.w, true)
		c.Forward(w.pool, w.n, kernels.Maps{V: w.x, Pitch: s.C}, nil, false, kernels.Maps{V: w.y, Pitch: s.O})
		c.BackwardData(w.pool, w.n, kernels.Maps{V: w.gy, Pitch: s.O}, kernels.Maps{V: w.gx, Pitch: s.C}, false)
		c.BackwardWeights(w.pool, kernels.Maps{V: w.x, Pitch: s.C}, kernels.Maps{V: w.gy, Pitch: s.O}, w.cuts(), w.gw, nil)
		w.results(c.Algorithm())
	}
}

func (w *caseWriter) fullyConnected(s kernels.Linear) {
	w.file.Shapes = map[string][]int{
		"x": {w.n, s.I}, "w": {s.O, s.I}, "gy": {w.n, s.O},
		"y": {w.n, s.O}, "gx": {w.n, s.I}, "gw": {s.O, s.I},
	}
	w.inputs(w.n*s.I, s.Weights(), w.n*s.O, s.I)
	l := kernels.NewFullyConnected(s)
	l.Forward(w.pool, w.n, w.x, w.w, nil, false, w.y)
	l.BackwardData(w.pool, w.n, w.gy, w.w, w.gx)
	l.BackwardWeights(w.pool, w.x, w.gy, w.cuts(), w.gw, nil)
	w.results("direct")
}

// cuts are two micro-batches, so that PyTorch's sum over the batch is compared
// with one about as long.
func (w *caseWriter) cuts() []int { return []int{0, w.n / 2, w.n} }

func (w *caseWriter) inputs(x, weights, gy, k int) {
	w.x, w.w, w.gy = w.normal(x, 1), w.normal(weights, math.Sqrt(2/float64(k))), w.normal(gy, 0.01)
	for i, v := range w.x {
		w.x[i] = max(v, 0)
	}
	for i := range w.gy {
		if w.r.Uint32()&1 == 0 {
			w.gy[i] = 0
		}
	}
	w.y, w.gx, w.gw = kernels.Floats(gy), kernels.Floats(x), kernels.Floats(weights)
	w.write("x", w.x)
	w.write("w", w.w)
	w.write("gy", w.gy)
}

func (w *caseWriter) normal(n int, deviation float64) []float32 {
	v := kernels.Floats(n)
	for i := range v {
		v[i] = float32(deviation * w.r.NormFloat64())
	}
	return v
}

func (w *caseWriter) results(algorithm string) {
	file := fmt.Sprint(len(w.file.Algorithms))
	w.file.Algorithms = append(w.file.Algorithms, caseAlgorithm{algorithm, file})
	w.write(file+".y", w.y)
	w.write(file+".gx", w.gx)
	w.write(file+".gw", w.gw)
}

func (w *caseWriter) write(name string, v []float32) {
	if w.err == nil {
		w.err = os.WriteFile(w.prefix+"."+name+".f32", floats.Bytes(v), 0o644)
	}
}
