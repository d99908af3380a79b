package data

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
)

// cifarFile is a record for each pair of labels, its pixels counted from first.
func cifarFile(first byte, labels ...string) []byte {
	var b []byte
	for i, l := range labels {
		b = append(b, l...)
		b = append(b, bytes.Repeat([]byte{first + byte(i)}, cifarImage)...)
	}
	return b
}

func tinyCIFAR10() map[string][]byte {
	return map[string][]byte{
		"data_batch_1.bin": cifarFile(1, "\x03", "\x09"), "data_batch_2.bin": cifarFile(3, "\x00"), "data_batch_3.bin": cifarFile(4, "\x00"),
		"data_batch_4.bin": cifarFile(5, "\x00"), "data_batch_5.bin": cifarFile(6, "\x01"), "test_batch.bin": cifarFile(7, "\x02"),
	}
}

func TestCIFAR10(t *testing.T) {
	set, err := Open("cifar10", writeFiles(t, tinyCIFAR10()))
	if err != nil {
		t.Fatal(err)
	}
	if m := set.Manifest; m.ClassNames[9] != "truck" || m.Channels != 3 || m.Height != 32 || m.Width != 32 {
		t.Errorf("manifest %+v", m)
	}
	wantExamples(t, set.Train, cifarImage, [][2]int{{1, 3}, {2, 9}, {3, 0}, {4, 0}, {5, 0}, {6, 1}})
	wantExamples(t, set.Test, cifarImage, [][2]int{{7, 2}})
}

func TestCIFAR100(t *testing.T) {
	dir := writeFiles(t, map[string][]byte{"train.bin": cifarFile(1, "\x00\x63", "\x13\x04"), "test.bin": cifarFile(3, "\x01\x02")})
	set, err := Open("cifar100", dir)
	if err != nil {
		t.Fatal(err)
	}
	if m := set.Manifest; m.Classes != 100 || m.ClassNames[99] != "worm" {
		t.Errorf("manifest %+v", m)
	}
	wantExamples(t, set.Train, cifarImage, [][2]int{{1, 99}, {2, 4}})
	wantExamples(t, set.Test, cifarImage, [][2]int{{3, 2}})

	s, err := openSource(context.Background(), "cifar100", dir, Options{Coarse: true})
	if err != nil {
		t.Fatal(err)
	}
	coarse, err := s.resident(context.Background())
	if err != nil || coarse.Manifest.ClassNames[19] != "vehicles_2" {
		t.Fatalf("%v, %+v", err, coarse.Manifest)
	}
	wantExamples(t, coarse.Train, cifarImage, [][2]int{{1, 0}, {2, 19}})
}

func TestCIFARErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f map[string][]byte)
		want   []string
	}{
		"missing":   {func(f map[string][]byte) { delete(f, "data_batch_3.bin") }, []string{"data_batch_3.bin is missing", "all files"}},
		"no test":   {func(f map[string][]byte) { delete(f, "test_batch.bin") }, []string{"test_batch.bin is missing"}},
		"truncated": {func(f map[string][]byte) { f["data_batch_2.bin"] = f["data_batch_2.bin"][:3000] }, []string{"data_batch_2.bin", "3000 bytes, want records of 3073"}},
		"empty":     {func(f map[string][]byte) { f["test_batch.bin"] = nil }, []string{"test_batch.bin", "0 bytes"}},
		"label":     {func(f map[string][]byte) { f["data_batch_1.bin"][3073] = 10 }, []string{"data_batch_1.bin", "label 0 of record 1 is 10, want 0 to 9"}},
		"packed":    {func(f map[string][]byte) { f["data_batch_1.bin"] = zipped(t, f["data_batch_1.bin"]) }, []string{"data_batch_1.bin", "gunzip"}},
	} {
		t.Run(name, func(t *testing.T) {
			files := tinyCIFAR10()
			c.change(files)
			_, err := Open("cifar10", writeFiles(t, files))
			checkError(t, err, append(c.want, `data set "cifar10"`))
		})
	}
}

// FuzzCIFAR checks that what the reader accepts is all of the input.
func FuzzCIFAR(f *testing.F) {
	f.Add(cifarFile(1, "\x03", "\x09"))
	f.Add(cifarFile(1, "\x00\x63"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, form := range []cifarForm{{limits: []int{10}}, {limits: []int{20, 100}, label: 1}} {
			got, err := form.parse(bytes.NewReader(b))
			if err == nil && !bytes.Equal(got, b) {
				t.Errorf("%d bytes read as %d", len(b), len(got))
			}
		}
	})
}

// TestCIFARFolder reads the real photographs where CIFAR_DIR names their folder.
func TestCIFARFolder(t *testing.T) {
	dir := os.Getenv("CIFAR_DIR")
	if dir == "" {
		t.Skip("CIFAR_DIR is not set")
	}
	done, err := ImportFiles(context.Background(), "cifar10", dir, filepath.Join(t.TempDir(), "set"), Options{})
	const want = "8c24557dc831ebc913893e27ff6dae03b87dd87b220ff90d6fd6d03577bf889b"
	if err != nil || done.Manifest.Digest().String() != want {
		t.Errorf("%v, digest %s, want %s", err, done.Manifest.Digest(), want)
	}
}
