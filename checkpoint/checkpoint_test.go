package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"convoy/digest"
	"convoy/job"
	"convoy/optim"
)

// sample is a small state of a run with or without momentum.
func sample(momentum float32) (*optim.State, Meta, optim.SGD) {
	f := job.Default()
	f.Model, f.Epochs, f.Optimizer = "lenet", 3, job.Optimizer{LR: 0.1, Momentum: momentum}
	r := f.Recipe(job.Data{
		Name: "digits", Manifest: digest.Of(nil).String(),
		Train: 60000, Test: 10000, Classes: 10, Channels: 1, Height: 28, Width: 28,
	})
	o := optim.FromJob(r.Optimizer)
	s := optim.NewState([]optim.Tensor{{Name: "0.weight", Dims: []int{2, 1, 2, 2}}, {Name: "0.bias", Dims: []int{2}}, {Name: "2.weight", Dims: []int{3, 2}}}, make([]float32, 16), o)
	for i := range s.Params {
		s.Params[i] = float32(i) / 7
		for _, v := range s.Slots {
			v[i] = -float32(i)
		}
	}
	return s, Meta{Recipe: r, Step: 41, Chain: digest.Of([]byte("chain")), Digest: s.Digest()}, o
}

func mustWrite(t testing.TB, path string, s *optim.State, m Meta) digest.Sum {
	t.Helper()
	sum, err := Write(path, s, m)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func content(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadsBack(t *testing.T) {
	for _, momentum := range []float32{0, 0.9} {
		path := filepath.Join(t.TempDir(), "a.safetensors")
		s, m, o := sample(momentum)
		sum := mustWrite(t, path, s, m)
		got, meta, err := Read(path, o)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(meta, m) {
			t.Errorf("metadata %+v, want %+v", meta, m)
		}
		if !slices.EqualFunc(got.Layout, s.Layout, func(a, b optim.Tensor) bool { return a.Name == b.Name && slices.Equal(a.Dims, b.Dims) }) {
			t.Errorf("layout %v, want %v", got.Layout, s.Layout)
		}
		if !slices.Equal(got.Params, s.Params) || len(got.Slots) != len(s.Slots) || len(s.Slots) > 0 && !slices.Equal(got.Slots[0], s.Slots[0]) {
			t.Errorf("state %v, want %v", got, s)
		}
		if about, err := About(path); err != nil || !reflect.DeepEqual(about, m) {
			t.Errorf("the file says of itself %+v, %v", about, err)
		}
		if err := Verify(path, sum); err != nil {
			t.Error(err)
		}
		if err := Verify(path, digest.Sum{}); err == nil || !strings.Contains(err.Error(), "go on from an older checkpoint") {
			t.Errorf("another sum: %v", err)
		}
		if _, _, err := Read(path, optim.SGD{Momentum: 0.9 - momentum}); err == nil || !strings.Contains(err.Error(), "go on with the optimizer") {
			t.Errorf("another optimizer: %v", err)
		}
	}
}

// Files of one state are equal on every replica and in every release of one
// arithmetic version.
func TestBytesGolden(t *testing.T) {
	const want = "f7f7e84e46293f93978cda410af0092c68e745675e8ca5c51eddc2ba2c2e7747"
	s, m, _ := sample(0.9)
	dir := t.TempDir()
	a := mustWrite(t, filepath.Join(dir, "a.safetensors"), s, m)
	b := mustWrite(t, filepath.Join(dir, "b.safetensors"), s, m)
	if a != b || a.String() != want || a != digest.Of(content(t, filepath.Join(dir, "a.safetensors"))) {
		t.Errorf("files %s and %s, want %s", a, b, want)
	}
}

// No byte of a file can change without Read or its caller noticing.
func TestEveryByteCounts(t *testing.T) {
	s, m, o := sample(0.9)
	path := filepath.Join(t.TempDir(), "a.safetensors")
	mustWrite(t, path, s, m)
	whole := content(t, path)
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1
		if _, _, err := read(bytes.NewReader(b), int64(len(b)), o); err == nil {
			t.Errorf("byte %d of %d, %q: %v", i, len(whole), whole[i], err)
		}
	}
	for size := range whole {
		if _, _, err := read(bytes.NewReader(whole[:size]), int64(size), o); err == nil {
			t.Errorf("the first %d of %d bytes are accepted", size, len(whole))
		}
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.safetensors")
	for name, c := range map[string]struct{ header, want string }{
		"no JSON":        {"[]", "no JSON object"},
		"foreign":        {`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "no checkpoint of convoy"},
		"twice":          {`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "comes twice"},
		"gap":            {`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "begins at byte 4"},
		"too long":       {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, "announces 8"},
		"shape":          {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, "shape [2] of F32 in 4 bytes"},
		"overflow":       {`{"a":{"dtype":"F32","shape":[4294967296,4294967296,1],"data_offsets":[0,4]}}`, "shape"},
		"negative":       {`{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}`, "shape"},
		"type":           {`{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}`, `type "BF16"`},
		"offsets":        {`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}`, "offsets [0 4 8]"},
		"unknown field":  {`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, "unknown field"},
		"metadata":       {`{"__metadata__":{"step":1}}`, "metadata"},
		"trailing":       {`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} {}`, "something follows"},
		"another format": {`{"__metadata__":{"format":"convoy","arithmetic_version":"999"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "use the release that wrote it"},
	} {
		b := binary.LittleEndian.AppendUint64(nil, uint64(len(c.header)))
		b = append(append(b, c.header...), 0, 0, 0, 0)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Read(path, optim.SGD{}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, _, err := Read(dir, optim.SGD{}); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a folder: %v", err)
	}
	if _, _, err := Read(filepath.Join(dir, "none"), optim.SGD{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	for want, spoil := range map[string]func(*optim.State, *Meta){
		"has digest":           func(_ *optim.State, m *Meta) { m.Digest = digest.Sum{} },
		"0 optimizer slots":    func(s *optim.State, m *Meta) { s.Slots = nil; m.Digest = s.Digest() },
		"cannot hold":          func(s *optim.State, _ *Meta) { s.Layout[0].Name = "optimizer.velocity.0" },
		"layout of 8 elements": func(s *optim.State, _ *Meta) { s.Layout = s.Layout[:1] },
	} {
		s, m, _ := sample(0.9)
		spoil(s, &m)
		if _, err := Write(path, s, m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, err := os.Stat(path + TempSuffix); !errors.Is(err, fs.ErrNotExist) {
			t.Error("a temporary file was left")
		}
	}
}

// broken is a disk on which the operation number fail, counted from 0, fails; a
// write fails half done.
type broken struct {
	osDisk
	fail, done int
	log        []string
}

var errBroken = errors.New("no space left on device")

func (d *broken) op(name string) error {
	d.log = append(d.log, name)
	d.done++
	if d.done-1 == d.fail {
		return errBroken
	}
	return nil
}

func (d *broken) Create(path string) (file, error) {
	if err := d.op("create"); err != nil {
		return nil, err
	}
	f, err := d.osDisk.Create(path)
	return brokenFile{f, d}, err
}

func (d *broken) Rename(from, to string) error {
	if err := d.op("rename"); err != nil {
		return err
	}
	return d.osDisk.Rename(from, to)
}

func (d *broken) SyncDir(path string) error { return d.op("sync folder") }

type brokenFile struct {
	file
	d *broken
}

func (f brokenFile) Write(b []byte) (int, error) {
	if err := f.d.op("write"); err != nil {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, err
	}
	return f.file.Write(b)
}
func (f brokenFile) Sync() error  { return f.d.op("sync") }
func (f brokenFile) Close() error { return errors.Join(f.file.Close(), f.d.op("close")) }

// Whatever fails, the old file or the new one is there, never half of one, and
// no temporary file stays.
func TestNothingHalfWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.safetensors")
	before, m, _ := sample(0.9)
	mustWrite(t, path, before, m)
	old := content(t, path)
	after, m, _ := sample(0.9)
	after.Params[3]++
	m.Step, m.Digest = 42, after.Digest()
	failures := 0
	for ; ; failures++ {
		d := &broken{fail: failures}
		_, err := write(d, path, after, m)
		if err == nil {
			if want := "[create write sync close rename sync folder]"; fmt.Sprint(d.log) != want {
				t.Errorf("a checkpoint is made by %v, want %s", d.log, want)
			}
			break
		}
		if !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		if d.log[len(d.log)-1] == "sync folder" {
			old = content(t, path) // renamed, but perhaps not durably: an error, and the whole new file
		}
		if !bytes.Equal(content(t, path), old) {
			t.Errorf("after a failed %s the file is neither the old nor the new one", d.log[len(d.log)-1])
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
			t.Errorf("after a failed %s the folder holds %v, %v", d.log[len(d.log)-1], names, err)
		}
	}
	if failures != 6 {
		t.Errorf("%d operations failed, want 6", failures)
	}
}

func TestTensors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	s, m, _ := sample(0.9)
	mustWrite(t, path, s, m)
	tensors, meta, err := Tensors(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(tensors) != 6 || meta["step"] != "41" || meta["format"] != "convoy" {
		t.Errorf("%d tensors, metadata %v", len(tensors), meta)
	}
	w := tensors["2.weight"]
	if fmt.Sprint(w.Shape()) != "(3, 2)" || !slices.Equal(w.Data().([]float32), s.Params[10:]) {
		t.Errorf("2.weight is %v %v", w.Shape(), w.Data())
	}
	v := tensors["optimizer.velocity.0.bias"]
	if fmt.Sprint(v.Shape()) != "(2)" || !slices.Equal(v.Data().([]float32), s.Slots[0][8:10]) {
		t.Errorf("velocity of 0.bias is %v %v", v.Shape(), v.Data())
	}
}

// A file as PyTorch users write it: other types, a scalar, another order.
func TestTensorsOfOthers(t *testing.T) {
	const header = `{"labels":{"dtype":"I64","shape":[2],"data_offsets":[4,20]},"lr":{"shape":[],"data_offsets":[0,4],"dtype":"F32"},"__metadata__":{"by":"hand"}}  `
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	b = append(b, 0, 0, 0x80, 0x3f)
	b = binary.LittleEndian.AppendUint64(b, 7)
	b = binary.LittleEndian.AppendUint64(b, 1<<64-1)
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	tensors, meta, err := Tensors(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := tensors["labels"].Data().([]int64); !slices.Equal(got, []int64{7, -1}) {
		t.Errorf("labels %v", got)
	}
	if got := tensors["lr"].Data().([]float32); !slices.Equal(got, []float32{1}) {
		t.Errorf("lr %v", got)
	}
	if meta["by"] != "hand" {
		t.Errorf("metadata %v", meta)
	}
}

func FuzzHeader(f *testing.F) {
	s, m, _ := sample(0.9)
	h, err := layout(s, m)
	if err != nil {
		f.Fatal(err)
	}
	head, err := h.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(head, make([]byte, 128)...))
	f.Add([]byte("\x38\x00\x00\x00\x00\x00\x00\x00" + `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}    `))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		sum := int64(0)
		for _, e := range h.Tensors {
			n := 1
			for _, d := range e.Dims {
				n *= d
			}
			if n != e.count || int64(n)*elementSize[e.DType] != e.High-e.Low {
				t.Fatalf("tensor %+v", e)
			}
			sum += e.High - e.Low
		}
		if h.Start+sum != int64(len(b)) {
			t.Fatalf("%d bytes of tensors from byte %d of %d", sum, h.Start, len(b))
		}
		again, err := h.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readHeader(bytes.NewReader(append(again, b[h.Start:]...)), int64(len(again))+sum); err != nil {
			t.Fatalf("does not read back: %v\n%s", err, again)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	s, m, o := sample(0)
	s.Layout = []optim.Tensor{{Name: "w", Dims: []int{4 << 20}}}
	s = optim.NewState(s.Layout, make([]float32, 4<<20), o)
	m.Digest = s.Digest()
	path := filepath.Join(b.TempDir(), "a.safetensors")
	b.SetBytes(4 * 4 << 20)
	for b.Loop() {
		mustWrite(b, path, s, m)
	}
}
