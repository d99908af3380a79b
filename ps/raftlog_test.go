package ps

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"
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
