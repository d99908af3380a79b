package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// idxFile returns an IDX file of uint8 elements.
func idxFile(magic uint32, elements []byte, dims ...int) []byte {
	b := binary.BigEndian.AppendUint32(nil, magic)
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, uint32(d))
	}
	return append(b, elements...)
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// tinyIDX is a set of three training and two test images of 2×3 pixels.
func tinyIDX() map[string][]byte {
	return map[string][]byte{
		"train-images-idx3-ubyte": idxFile(idxImages, []byte("abcdefghijklmnopqr"), 3, 2, 3),
		"train-labels-idx1-ubyte": idxFile(idxLabels, []byte{7, 0, 9}, 3),
		"t10k-images-idx3-ubyte":  idxFile(idxImages, []byte("ABCDEFGHIJKL"), 2, 2, 3),
		"t10k-labels-idx1-ubyte":  idxFile(idxLabels, []byte{1, 2}, 2),
	}
}

func writeFiles(t testing.TB, files map[string][]byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpenIDX(t *testing.T) {
	for spelling, rename := range map[string]func(string, []byte) (string, []byte){
		"plain": func(name string, b []byte) (string, []byte) { return name, b },
		"gz":    func(name string, b []byte) (string, []byte) { return name + ".gz", zipped(t, b) },
		"dot":   func(name string, b []byte) (string, []byte) { return strings.Replace(name, "s-idx", "s.idx", 1), b },
		"dot gz": func(name string, b []byte) (string, []byte) {
			return strings.Replace(name, "s-idx", "s.idx", 1) + ".gz", zipped(t, b)
		},
	} {
		t.Run(spelling, func(t *testing.T) {
			files := map[string][]byte{}
			for name, b := range tinyIDX() {
				name, b = rename(name, b)
				files[name] = b
			}
			set, err := Open("mnist", writeFiles(t, files))
			if err != nil {
				t.Fatal(err)
			}
			m := set.Manifest
			if m.Train != 3 || m.Test != 2 || m.Classes != 10 || m.Channels != 1 || m.Height != 2 || m.Width != 3 || m.Builtin() {
				t.Errorf("manifest %+v", m)
			}
			pixels := make([]byte, 6)
			if label := set.Train.Example(2, pixels); label != 9 || string(pixels) != "mnopqr" {
				t.Errorf("training example 2 is %d %q", label, pixels)
			}
			if label := set.Test.Example(0, pixels); label != 1 || string(pixels) != "ABCDEF" {
				t.Errorf("test example 0 is %d %q", label, pixels)
			}
		})
	}
}

func TestOpenIDXErrors(t *testing.T) {
	const images, labels = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
	for name, c := range map[string]struct {
		change func(files map[string][]byte)
		want   []string
	}{
		"missing": {
			func(f map[string][]byte) { delete(f, labels) },
			[]string{"has no " + labels, "put it there", labels + ".gz", "train-labels.idx1-ubyte"},
		},
		"truncated":        {func(f map[string][]byte) { f[images] = f[images][:30] }, []string{images, "truncated: 14 of 18 bytes", "fetch"}},
		"truncated header": {func(f map[string][]byte) { f[images] = f[images][:9] }, []string{images, "truncated: the header has 9 of 16"}},
		"empty":            {func(f map[string][]byte) { f[labels] = nil }, []string{labels, "truncated: the header has 0 of 8"}},
		"truncated gzip": {
			func(f map[string][]byte) {
				z := zipped(t, f[images])
				delete(f, images)
				f[images+".gz"] = z[:len(z)-9]
			},
			[]string{images + ".gz", "truncated: the gzip stream ends early"},
		},
		"damaged gzip": {
			func(f map[string][]byte) {
				z := zipped(t, f[images])
				z[len(z)-6] ^= 1 // the checksum
				delete(f, images)
				f[images+".gz"] = z
			},
			[]string{images + ".gz", "checksum", "fetch"},
		},
		"no gzip": {
			func(f map[string][]byte) { f[images+".gz"] = f[images]; delete(f, images) },
			[]string{images + ".gz", "gzip: invalid header", "fetch"},
		},
		"gzip without its ending": {func(f map[string][]byte) { f[images] = zipped(t, f[images]) }, []string{images, "give its name the ending .gz"}},
		"trailing bytes":          {func(f map[string][]byte) { f[labels] = append(f[labels], 1) }, []string{labels, "bytes follow the 3"}},
		"wrong magic":             {func(f map[string][]byte) { f[images] = []byte("not an IDX file, this") }, []string{images, "0x6e6f7420", "right file"}},
		"swapped": {
			func(f map[string][]byte) { f[images], f[labels] = f[labels], f[images] },
			[]string{images, "truncated"},
		},
		"images as labels":    {func(f map[string][]byte) { f[labels] = f[images] }, []string{labels, "a file of images, labels belong here"}},
		"label out of range":  {func(f map[string][]byte) { f[labels][9] = 10 }, []string{labels, "label 1 is 10", "0 to 9"}},
		"counts differ":       {func(f map[string][]byte) { f[labels] = idxFile(idxLabels, []byte{1, 2}, 2) }, []string{images, "3 images", labels, "2 labels"}},
		"zero images":         {func(f map[string][]byte) { f[images] = idxFile(idxImages, nil, 0, 2, 3) }, []string{images, "holds no examples"}},
		"zero height":         {func(f map[string][]byte) { f[images] = idxFile(idxImages, nil, 3, 0, 3) }, []string{images, "dimension 1", "is 0"}},
		"absurd count":        {func(f map[string][]byte) { f[images] = idxFile(idxImages, nil, 1<<31, 2, 3) }, []string{images, "dimension 0", "2147483648"}},
		"absurd width":        {func(f map[string][]byte) { f[images] = idxFile(idxImages, nil, 3, 2, 1<<20) }, []string{images, "dimension 2"}},
		"absurd product":      {func(f map[string][]byte) { f[images] = idxFile(idxImages, nil, 1<<24, 2048, 2048) }, []string{images, "announces"}},
		"large but truncated": {func(f map[string][]byte) { f[images] = idxFile(idxImages, nil, 1<<20, 28, 28) }, []string{images, "truncated: 0 of 822083584"}},
		"test set of another shape": {
			func(f map[string][]byte) {
				f["t10k-images-idx3-ubyte"] = idxFile(idxImages, []byte("ABCDEFGHIJKL"), 2, 3, 2)
			},
			[]string{"2×3", "3×2", "one set"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := tinyIDX()
			c.change(files)
			_, err := Open("mnist", writeFiles(t, files))
			checkError(t, err, append(c.want, `data set "mnist"`))
		})
	}
}

// checkError checks that err is there and says what is wanted.
func checkError(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(writeFiles(t, map[string][]byte{"f": nil}), "f")
	for _, c := range []struct {
		name, dir string
		want      []string
	}{
		{"digit", "", []string{`data set "digit" needs the folder`, `did you mean "digits", which is built in?`}},
		{"My set", writeFiles(t, tinyIDX()), []string{`data set "My set"`, "a to z, 0 to 9 and -"}},
		{"mnist", "", []string{"needs the folder", "--data-dir"}},
		{"mnist", "/nowhere/at/all", []string{"/nowhere/at/all", "name the folder"}},
		{"fashion-mnist", file, []string{"no", "folder"}},
	} {
		_, err := Open(c.name, c.dir)
		checkError(t, err, c.want)
	}
}

// FuzzIDX checks that no input makes the reader fail otherwise than by an error,
// and that what it accepts is all of the input.
func FuzzIDX(f *testing.F) {
	for _, b := range tinyIDX() {
		f.Add(b, false)
		f.Add(zipped(f, b), true)
		f.Add(b[:len(b)-1], false)
	}
	f.Fuzz(func(t *testing.T, b []byte, gzipped bool) {
		for _, magic := range []uint32{idxImages, idxLabels} {
			dims, elements, err := readIDX(bytes.NewReader(b), gzipped, magic)
			if err != nil {
				continue
			}
			if again := idxFile(magic, elements, dims...); !gzipped && !bytes.Equal(again, b) {
				t.Errorf("%x reads as dimensions %d and elements %x", b, dims, elements)
			}
		}
	})
}

// TestMNIST reads the real files where MNIST_DIR names their folder.
func TestMNIST(t *testing.T) {
	dir := os.Getenv("MNIST_DIR")
	if dir == "" {
		t.Skip("MNIST_DIR is not set")
	}
	set, err := Open("mnist", dir)
	if err != nil {
		t.Fatal(err)
	}
	const want = "a4e0584bc08f092bb763a0a2e4552b70e1298ec59791482610fb7a7ab89a661c"
	if got := set.Manifest.Digest().String(); got != want || set.Train.Len() != 60_000 || set.Test.Len() != 10_000 {
		t.Errorf("%d + %d examples, digest %s, want 60000 + 10000, %s", set.Train.Len(), set.Test.Len(), got, want)
	}
	// The two numbers that everybody normalises MNIST by.
	if mean, deviation := set.Manifest.Moments(); fmt.Sprintf("%.4f %.4f", mean[0], deviation[0]) != "0.1307 0.3081" {
		t.Errorf("mean %v, deviation %v, want 0.1307 and 0.3081", mean, deviation)
	}
}
