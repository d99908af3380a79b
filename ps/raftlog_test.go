package ps

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/metadb"
	"go.uber.org/zap"
)

// TestLogOutlivesACutTail: a follower drops entries that its new leader does not
// have. What is left must be there after a restart, also after a second one: a
// release of the log's library wrote a file that could not be read again.
func TestLogOutlivesACutTail(t *testing.T) {
	dir := t.TempDir()
	open := func() *logStore {
		store, err := openLog(dir, newHCLog(zap.NewNop()))
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	entry := func(index uint64) *raft.Log {
		return &raft.Log{Index: index, Term: 1, Data: fmt.Appendf(nil, "entry %d", index)}
	}
	store := open()
	for i := range uint64(6) {
		must(store.StoreLog(entry(i + 1)))
	}
	must(store.DeleteRange(5, 6))
	for range 2 {
		must(store.Close())
		store = open()
		for i := range uint64(4) {
			var got raft.Log
			must(store.GetLog(i+1, &got))
			if want := fmt.Sprintf("entry %d", i+1); string(got.Data) != want {
				t.Errorf("entry %d is %q", i+1, got.Data)
			}
		}
		if last, err := store.LastIndex(); err != nil || last != 4 {
			t.Errorf("the last entry is %d, %v; want 4", last, err)
		}
	}
	must(store.StoreLog(entry(5)))
	must(store.Close())
	store = open()
	var got raft.Log
	must(store.GetLog(5, &got))
	must(store.Close())
}

// TestLogOutlivesADeathWhileItTurnsAPage: a file is full and closed, and the
// process dies before that is noted. The log goes on where it was.
func TestLogOutlivesADeathWhileItTurnsAPage(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	open := func() *logStore {
		t.Helper()
		store, err := openLog(dir, newHCLog(zap.NewNop()))
		must(err)
		return store
	}
	const entries = 9 // of an eighth of a file each: the last one fills it
	entry := func(index uint64) *raft.Log {
		return &raft.Log{Index: index, Term: 1, Data: bytes.Repeat([]byte{byte(index)}, segmentBytes/8)}
	}
	store := open()
	last := uint64(0)
	before := []byte(nil)
	for files(t, dir) < 2 && last < entries {
		must(store.Close())
		var err error
		before, err = os.ReadFile(filepath.Join(dir, metadb.FileName))
		must(err)
		store = open()
		last++
		must(store.StoreLog(entry(last)))
		must(store.Close()) // waits for the new file
		store = open()
	}
	must(store.Close())
	if files(t, dir) != 2 {
		t.Fatalf("after %d entries there are %d files, want 2", last, files(t, dir))
	}
	must(os.WriteFile(filepath.Join(dir, metadb.FileName), before, 0o644)) // as it was when the process died
	for range 2 {
		store = open()
		last++
		must(store.StoreLog(entry(last)))
		for i := range last {
			var got raft.Log
			must(store.GetLog(i+1, &got))
			if !bytes.Equal(got.Data, entry(i+1).Data) {
				t.Errorf("entry %d is another", i+1)
			}
		}
		must(store.Close())
	}
}

// files counts the log's files.
func files(t *testing.T, dir string) int {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
