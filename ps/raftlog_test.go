package ps

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/metadb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"convoy/api"
)

// raftIn opens a replica alone in dir.
func raftIn(dir string) (*raftNode, *control, error) {
	c := newControl(func(change) {}, func() error { return nil })
	n, err := startRaft(dir, "r1", RaftConfig{Servers: []Server{{ID: "r1"}}}, c, zap.NewNop(), func(error) {})
	return n, c, err
}

// applyAll gives entries to a replica alone and waits until it has all of its log.
func applyAll(n *raftNode, entries ...*api.Entry) error {
	for n.State() != raft.Leader {
		<-n.LeaderCh()
	}
	for _, e := range entries {
		b, err := proto.Marshal(e)
		if err != nil {
			return err
		}
		if err := n.Apply(b, 0).Error(); err != nil {
			return err
		}
	}
	return n.Barrier(0).Error()
}

// aLog makes a folder whose log has gone through all there is: two snapshots,
// entries before, between and behind them, and two terms. A compacted one has lost
// the entries that the newest snapshot stands for.
func aLog(t *testing.T, compacted bool) (dir string, want *api.Control) {
	t.Helper()
	dir = t.TempDir()
	for life := range 2 {
		n, c, err := raftIn(dir)
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("job-%d", life)
		err = errors.Join(applyAll(n, submitEntry(id), startEntry(id)), n.Snapshot().Error(), applyAll(n, commitEntry(id, 0, 3), commitEntry(id, 3, 2)))
		want = c.snapshot()
		if err := errors.Join(err, n.close()); err != nil {
			t.Fatal(err)
		}
	}
	if compacted {
		compact(t, dir)
	}
	return dir, want
}

func compact(t *testing.T, dir string) {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "snapshots", "*"))
	if err != nil || len(list) != 2 {
		t.Fatalf("snapshots %v, %v", list, err)
	}
	newest, index := 0, 0
	for _, path := range list {
		var term int
		if _, err := fmt.Sscanf(filepath.Base(path), "%d-%d-", &term, &index); err != nil {
			t.Fatal(err)
		}
		newest = max(newest, index)
	}
	l, err := openLog(filepath.Join(dir, "raft"), newHCLog(zap.NewNop()), func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.DeleteRange(1, uint64(newest)), l.Close()); err != nil {
		t.Fatal(err)
	}
}

// damages are what a disk does to a file.
func damages() map[string]func([]byte) []byte {
	all := map[string]func([]byte) []byte{
		"emptied":        func([]byte) []byte { return nil },
		"half":           func(b []byte) []byte { return b[:len(b)/2] },
		"a byte shorter": func(b []byte) []byte { return b[:len(b)-1] },
		"extended":       func(b []byte) []byte { return append(b, "and more"...) },
		"zeroed":         func(b []byte) []byte { return make([]byte, len(b)) },
	}
	for name, at := range map[string]func(n int) int{
		"first": func(int) int { return 0 }, "middle": func(n int) int { return n / 2 }, "last": func(n int) int { return n - 1 },
	} {
		all[name+" byte flipped"] = func(b []byte) []byte { b[at(len(b))] ^= 0x40; return b }
	}
	return all
}

// regions are the bytes of a file that are not zero, thinned out: where a flipped
// bit tells.
func regions(b []byte, most int) (at []int) {
	for i, x := range b {
		if x != 0 {
			at = append(at, i)
		}
	}
	thin := make([]int, 0, most)
	for i := range min(most, len(at)) {
		thin = append(thin, at[i*len(at)/min(most, len(at))])
	}
	return thin
}

// files lists the files below dir.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, relErr := filepath.Rel(dir, path)
			list, err = append(list, name), relErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestDamagedLogIsFoundOrHarmless: whatever happens to whichever file of the log,
// its index and its snapshots, a replica either starts with the very state it had,
// or refuses with an error that names the folder and says what to do.
func TestDamagedLogIsFoundOrHarmless(t *testing.T) {
	most := 12
	if testing.Short() {
		most = 3
	}
	for _, compacted := range []bool{false, true} {
		dir, want := aLog(t, compacted)
		found := map[string]int{}
		for _, name := range files(t, dir) {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			all := damages()
			for _, at := range regions(b, most) {
				all[fmt.Sprintf("byte %d flipped", at)] = func(b []byte) []byte { b[at] ^= 4; return b }
			}
			for what, damage := range all {
				if foundIn(t, dir, name, name+" "+what, damage, want) {
					found[filepath.Dir(name)]++
				}
			}
		}
		t.Logf("compacted: %t; found by folder: %v", compacted, found)
		if found["raft"] == 0 || compacted != (len(found) == 2) {
			t.Errorf("compacted: %t; found %v: want damage of the log, and of the one snapshot that it cannot do without", compacted, found)
		}
	}
}

// foundIn damages one file of a copy of dir and reports whether a replica refuses
// it.
func foundIn(t *testing.T, dir, name, what string, damage func([]byte) []byte, want *api.Control) bool {
	t.Helper()
	broken := filepath.Join(t.TempDir(), "r1")
	if err := os.CopyFS(broken, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(broken, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, damage(b), 0o600); err != nil {
		t.Fatal(err)
	}
	n, c, err := raftIn(broken)
	if err != nil {
		if !strings.Contains(err.Error(), broken) || !strings.Contains(err.Error(), "join again") {
			t.Errorf("%s: %v: want the folder, and what to do", what, err)
		}
		return true
	}
	if err := errors.Join(applyAll(n), n.close()); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if got := c.snapshot(); !proto.Equal(got, want) {
		t.Errorf("%s: started with another state: %v\nwant %v", what, got, want)
	}
	return false
}

// TestFailedWriteIsFinal: after a write that failed the log takes nothing more,
// and tells once.
func TestFailedWriteIsFinal(t *testing.T) {
	var told []error
	l, err := openLog(t.TempDir(), newHCLog(zap.NewNop()), func(err error) { told = append(told, err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	entry := func(i uint64) *raft.Log { return &raft.Log{Index: i, Term: 1, Data: []byte("entry")} }
	if err := l.StoreLog(entry(1)); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left on device")
	if err := l.write(func() error { return full }); !errors.Is(err, full) || !strings.Contains(err.Error(), "free or repair the disk") {
		t.Errorf("a failed write: %v", err)
	}
	for name, err := range map[string]error{
		"entries": l.StoreLog(entry(2)), "a vote": l.SetUint64([]byte("term"), 2), "a name": l.Set([]byte("vote"), []byte("r1")), "a deletion": l.DeleteRange(1, 1),
	} {
		if !errors.Is(err, full) {
			t.Errorf("%s after a failed write: %v", name, err)
		}
	}
	if last, err := l.LastIndex(); len(told) != 1 || last != 1 || err != nil {
		t.Errorf("told %v, the last entry is %d, %v", told, last, err)
	}
}

// TestLogOutlivesACutTail: a follower drops entries that its new leader does not
// have. What is left must be there after a restart, also after a second one: a
// release of the log's library wrote a file that could not be read again.
func TestLogOutlivesACutTail(t *testing.T) {
	dir := t.TempDir()
	open := func() *logStore {
		store, err := openLog(dir, newHCLog(zap.NewNop()), func(error) {})
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
	dir := filepath.Join(t.TempDir(), "raft")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(dir, 0o755))
	open := func() *logStore {
		t.Helper()
		store, err := openLog(dir, newHCLog(zap.NewNop()), func(error) {})
		must(err)
		return store
	}
	const entries = 9 // of an eighth of a file each: the last one fills it
	entry := func(index uint64) *raft.Log {
		return &raft.Log{Index: index, Term: 1, Data: bytes.Repeat([]byte{byte(index)}, segmentBytes/8)}
	}
	store := open()
	last := uint64(0)
	var before, sealBefore []byte
	for len(walFiles(t, dir)) < 2 && last < entries {
		must(store.Close())
		var err error
		before, err = os.ReadFile(filepath.Join(dir, metadb.FileName))
		must(err)
		sealBefore, err = os.ReadFile(dir + sealSuffix)
		must(err)
		store = open()
		last++
		must(store.StoreLog(entry(last)))
		must(store.Close()) // waits for the new file
		store = open()
	}
	must(store.Close())
	if len(walFiles(t, dir)) != 2 {
		t.Fatalf("after %d entries there are %d files, want 2", last, len(walFiles(t, dir)))
	}
	must(os.WriteFile(filepath.Join(dir, metadb.FileName), before, 0o644)) // as it was when the process died
	must(os.WriteFile(dir+sealSuffix, sealBefore, 0o644))
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

// walFiles are the log's files.
func walFiles(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}
