package golden

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// writeCase makes a safetensors file of a header and its data.
func writeCase(t *testing.T, header string, data []byte) string {
	t.Helper()
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(append(b, header...), data...)
	path := filepath.Join(t.TempDir(), "case_0.safetensors")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	data := binary.LittleEndian.AppendUint32(nil, math.Float32bits(-1.5))
	data = binary.LittleEndian.AppendUint32(data, math.Float32bits(2))
	data = binary.LittleEndian.AppendUint64(data, 7)
	path := writeCase(t, `{"__metadata__":{"meta":"{\"stride\":[2,3],\"lr\":0.5,\"bias\":true,\"drop\":null}"},`+
		`"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"labels":{"dtype":"I64","shape":[1],"data_offsets":[8,16]}}`, data)
	c := Load(t, path)
	if x := c.F32("x"); len(x) != 2 || x[0] != -1.5 || x[1] != 2 {
		t.Errorf("x = %v", x)
	}
	if l := c.I64("labels"); len(l) != 1 || l[0] != 7 {
		t.Errorf("labels = %v", l)
	}
	if d := c.Dims("x"); len(d) != 2 || d[0] != 1 || d[1] != 2 {
		t.Errorf("dims = %v", d)
	}
	if s := c.Ints("stride"); len(s) != 2 || s[0] != 2 || s[1] != 3 {
		t.Errorf("stride = %v", s)
	}
	if c.Name != "case_0" || c.Float("lr") != 0.5 || !c.Bool("bias") || c.Float("drop") != 0 || c.Has("y") || !c.Has("x") {
		t.Errorf("case %s, meta %v", c.Name, c.Meta)
	}
}

func TestParseRefusesTornFiles(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":         nil,
		"short header":  {9, 0, 0, 0, 0, 0, 0, 0, '{'},
		"no JSON":       {1, 0, 0, 0, 0, 0, 0, 0, '{'},
		"data cut away": append([]byte{53, 0, 0, 0, 0, 0, 0, 0}, `{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`...),
	} {
		if _, _, err := parse(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// failures counts what a comparison reports.
type failures struct {
	testing.TB
	n int
}

func (f *failures) Helper()               {}
func (f *failures) Errorf(string, ...any) { f.n++ }

func TestNear(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		name      string
		got, want []float32
		ok        bool
	}{
		{"equal", []float32{1, 2}, []float32{1, 2}, true},
		{"within", []float32{1.009, 2}, []float32{1, 2}, true},
		{"beyond", []float32{1, 2.03}, []float32{1, 2}, false},
		{"length", []float32{1}, []float32{1, 2}, false},
		{"NaN first", []float32{nan, 2}, []float32{1, 2}, false},
		{"NaN last", []float32{1, nan}, []float32{1, 2}, false},
		{"zeros", []float32{0, 0}, []float32{0, 0}, true},
		{"not zero", []float32{0, 1e-30}, []float32{0, 0}, false},
	} {
		f := &failures{TB: t}
		if Near(f, c.name, c.got, c.want, 0.01); (f.n == 0) != c.ok {
			t.Errorf("%s: %d failures reported", c.name, f.n)
		}
	}
}
