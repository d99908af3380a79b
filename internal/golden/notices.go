package golden

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Notices fails unless a test of the running package fails as soon as one
// expected number of its cases is another. It takes the first case of Dir for each
// of the patterns that the test reads, and runs the test in a process of its own
// on copies of them: as they are, which has to pass, and then for each expected
// tensor with one number of it off by a hundredth of the greatest.
func Notices(t *testing.T, test string, patterns ...string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "testdata"), 0o755); err != nil {
		t.Fatal(err)
	}
	copies := map[string][]byte{} // by the copy's path
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(Dir(t), pattern+".safetensors"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no case %s in %s: %v", pattern, Dir(t), err)
		}
		b, err := os.ReadFile(paths[0])
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, "testdata", filepath.Base(paths[0]))
		copies[to] = b
		write(t, to, b)
	}
	if out, passes := run(t, dir, test); !passes {
		t.Fatalf("%s fails on a copy of its cases:\n%s", test, out)
	}
	for path, b := range copies {
		for _, name := range expectedIn(t, b) {
			write(t, path, altered(t, b, name))
			if out, passes := run(t, dir, test); passes || !strings.Contains(out, "--- FAIL: "+test) {
				t.Errorf("%s does not notice that %s of %s is another:\n%s", test, name, filepath.Base(path), out)
			}
		}
		write(t, path, b)
	}
}

// expectedIn names the tensors of a case that are results, not what they are
// computed from.
func expectedIn(t *testing.T, b []byte) []string {
	t.Helper()
	meta, tensors, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if list, ok := meta["expected"].([]any); ok {
		names := make([]string, len(list))
		for i, name := range list {
			names[i] = name.(string)
		}
		return names
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(tensors)), func(name string) bool { // of a whole model
		return name == "x" || name == "labels" || strings.HasPrefix(name, "param.")
	})
}

// altered is a copy of a case with another number in the middle of a tensor.
func altered(t *testing.T, b []byte, name string) []byte {
	t.Helper()
	b = slices.Clone(b)
	_, tensors, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	data := tensors[name].data // a part of b
	if len(data) == 0 || tensors[name].kind != "F32" {
		t.Fatalf("tensor %s is no expected one", name)
	}
	at := func(i int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])) }
	var top float32
	for i := range len(data) / 4 {
		top = max(top, at(i), -at(i))
	}
	if top == 0 {
		top = 1
	}
	middle := len(data) / 8
	binary.LittleEndian.PutUint32(data[4*middle:], math.Float32bits(at(middle)+top/100))
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs one test of this binary in a folder, whose testdata are its cases.
func run(t *testing.T, dir, test string) (output string, passes bool) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(binary, "-test.run=^"+test+"$")
	c.Dir = dir
	c.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, Env+"=") })
	out, err := c.CombinedOutput()
	if errors.Is(err, syscall.ENOEXEC) {
		t.Skip("this machine runs the test's own program under an emulator alone")
	}
	return string(out), err == nil
}
