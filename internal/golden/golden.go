// Package golden reads the results of PyTorch that tests compare with: files in
// the safetensors format (a header of JSON behind its length, then raw
// little-endian data), described by a JSON string in the header's metadata.
package golden

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Env names the variable that holds the folder of all cases.
const Env = "GOLDEN_DIR"

// A Case is one file: tensors by name, and what the file says of them.
type Case struct {
	Name    string         // the file's, without .safetensors
	Meta    map[string]any // numbers are float64
	tensors map[string]tensor
	t       testing.TB
}

type tensor struct {
	kind string
	dims []int
	data []byte
}

// Dir returns the folder to read cases from: the one that GOLDEN_DIR names, or
// the package's own testdata, which holds a few.
func Dir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv(Env); dir != "" {
		return dir
	}
	return "testdata"
}

// Each runs f as a subtest for each case of Dir whose name matches the pattern
// (of filepath.Match, without .safetensors), and fails if there is none.
func Each(t *testing.T, pattern string, f func(t *testing.T, c Case)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(Dir(t), pattern+".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("no case %s.safetensors in %s: set %s to the folder of golden cases", pattern, Dir(t), Env)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".safetensors"), func(t *testing.T) {
			f(t, Load(t, path))
		})
	}
}

// Load reads the file at path.
func Load(t testing.TB, path string) Case {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := Case{Name: strings.TrimSuffix(filepath.Base(path), ".safetensors"), t: t}
	if c.Meta, c.tensors, err = parse(b); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}

func parse(b []byte) (map[string]any, map[string]tensor, error) {
	if len(b) < 8 {
		return nil, nil, fmt.Errorf("%d bytes hold no safetensors header", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	if n > uint64(len(b)-8) {
		return nil, nil, fmt.Errorf("a header of %d bytes in a file of %d", n, len(b))
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(b[8:8+n], &header); err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	data := b[8+n:]
	meta, tensors := map[string]any{}, map[string]tensor{}
	for name, raw := range header {
		if name == "__metadata__" {
			var m struct{ Meta string }
			if err := json.Unmarshal(raw, &m); err != nil {
				return nil, nil, fmt.Errorf("metadata: %w", err)
			}
			if err := json.Unmarshal([]byte(m.Meta), &meta); err != nil {
				return nil, nil, fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		var h struct {
			DType   string `json:"dtype"`
			Shape   []int  `json:"shape"`
			Offsets [2]int `json:"data_offsets"`
		}
		if err := json.Unmarshal(raw, &h); err != nil {
			return nil, nil, fmt.Errorf("tensor %s: %w", name, err)
		}
		if h.Offsets[0] < 0 || h.Offsets[0] > h.Offsets[1] || h.Offsets[1] > len(data) {
			return nil, nil, fmt.Errorf("tensor %s at %v of %d bytes", name, h.Offsets, len(data))
		}
		tensors[name] = tensor{h.DType, h.Shape, data[h.Offsets[0]:h.Offsets[1]]}
	}
	return meta, tensors, nil
}

// Has reports whether there is a tensor of that name.
func (c Case) Has(name string) bool {
	_, ok := c.tensors[name]
	return ok
}

// Dims returns the dimensions of a tensor.
func (c Case) Dims(name string) []int {
	c.t.Helper()
	x, ok := c.tensors[name]
	if !ok {
		c.t.Fatalf("%s: no tensor %s", c.Name, name)
	}
	return x.dims
}

func (c Case) bytes(name, kind string) []byte {
	c.t.Helper()
	c.Dims(name)
	x := c.tensors[name]
	if x.kind != kind {
		c.t.Fatalf("%s: tensor %s holds %s, not %s", c.Name, name, x.kind, kind)
	}
	return x.data
}

// F32 returns a tensor of float32.
func (c Case) F32(name string) []float32 {
	c.t.Helper()
	b := c.bytes(name, "F32")
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

// I64 returns a tensor of int64.
func (c Case) I64(name string) []int64 {
	c.t.Helper()
	b := c.bytes(name, "I64")
	v := make([]int64, len(b)/8)
	for i := range v {
		v[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return v
}

// Float returns a number of the metadata, 0 where it is null.
func (c Case) Float(key string) float64 {
	c.t.Helper()
	v, ok := c.Meta[key]
	f, isFloat := v.(float64)
	if !ok || v != nil && !isFloat {
		c.t.Fatalf("%s: metadata has no number %s but %v", c.Name, key, v)
	}
	return f
}

// Bool returns a truth value of the metadata.
func (c Case) Bool(key string) bool {
	c.t.Helper()
	v, ok := c.Meta[key].(bool)
	if !ok {
		c.t.Fatalf("%s: metadata has no truth value %s but %v", c.Name, key, c.Meta[key])
	}
	return v
}

// Ints returns a list of whole numbers of the metadata.
func (c Case) Ints(key string) []int {
	c.t.Helper()
	list, ok := c.Meta[key].([]any)
	v := make([]int, len(list))
	for i, x := range list {
		f, isFloat := x.(float64)
		ok = ok && isFloat
		v[i] = int(f)
	}
	if !ok {
		c.t.Fatalf("%s: metadata has no list of numbers %s but %v", c.Name, key, c.Meta[key])
	}
	return v
}

// Near fails the test unless got is as long as the tensor name and
// max|got − want| ÷ max|want| is at most bound.
func (c Case) Near(t testing.TB, name string, got []float32, bound float64) {
	t.Helper()
	Near(t, name, got, c.F32(name), bound)
}

// Near fails the test unless max|got − want| ÷ max|want| is at most bound; where
// all of want is 0, got must be 0 too.
func Near(t testing.TB, name string, got, want []float32, bound float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d elements, want %d", name, len(got), len(want))
		return
	}
	var diff, top float64
	worst := 0
	for i, w := range want {
		top = max(top, math.Abs(float64(w)))
		d := math.Abs(float64(got[i]) - float64(w))
		if math.IsNaN(d) {
			d = math.Inf(1)
		}
		if d > diff {
			diff, worst = d, i
		}
	}
	if diff > bound*top {
		t.Errorf("%s: element %d is %g, want %g: difference %.3g of the greatest %g, bound %.3g",
			name, worst, got[worst], want[worst], diff/top, top, bound)
	}
}
