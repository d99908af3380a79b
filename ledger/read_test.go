package ledger

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// TestRead: a reader sees all whole rows, also of a ledger that somebody appends
// to, and leaves the file as it is.
func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	rows := run()
	l := mustOpen(t, path)
	mustAppend(t, l, rows[:9]...)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range []int{0, 1, 20} {
		if err := os.WriteFile(path, whole[:len(whole)-torn], 0o600); err != nil {
			t.Fatal(err)
		}
		want := 9
		if torn > 0 {
			want = 8
		}
		got := 0
		for row, err := range Read(path) {
			if err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(row, rows[got]) {
				t.Errorf("row %d is %v, want %v", got, row, rows[got])
			}
			got++
		}
		if info, err := os.Stat(path); err != nil || got != want || info.Size() != int64(len(whole)-torn) {
			t.Errorf("%d bytes torn: %d rows, want %d; the file has %d bytes, %v", torn, got, want, info.Size(), err)
		}
	}
	for _, err := range Read(path) {
		if err != nil {
			t.Error(err)
		}
		break // a reader may stop
	}
}

func TestReadRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	mustAppend(t, mustOpen(t, path), run()[:5]...)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(magic)] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{path: "is no ledger of this version", path + "x": "no such file"} {
		var got error
		for _, err := range Read(file) {
			got = err
		}
		if got == nil || !strings.Contains(got.Error(), want) {
			t.Errorf("%s: %v, want %q", file, got, want)
		}
	}
}
