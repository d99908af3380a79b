package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/digest"
	"convoy/job"
)

var (
	seq   = job.Sequence{Train: 10, Test: 2, Epochs: 4, Batch: 3, MicroBatches: 4}
	start = digest.Of([]byte("start"))
)

// run returns the rows of a whole run, committed in entries of one to four steps.
func run() (rows []*api.LedgerRow) {
	chain, head := start, []byte(nil)
	for first, n := 0, 1; first < seq.Len(); first, n = first+n, n%4+1 {
		c := &api.StepCommit{Job: "lenet-1", First: uint64(first), ChainBefore: bytes.Clone(chain[:]), Workers: []string{"idle", "w1", "w2"}}
		for i := first; i < min(first+n, seq.Len()); i++ {
			g := digest.OfGradient([]float32{float32(i)}, digest.Sums{Loss: 1, Correct: 2, Examples: 3})
			row := &api.CommittedRow{GradientDigest: g[:], LossSum: 1.5 * float64(i), Correct: uint32(i), Top5: uint32(i), Examples: uint32(seq.At(i).Examples)}
			if i == first || i%3 == 0 {
				row.Shares = []*api.Share{{Worker: 2, Low: 0, High: 2}, {Worker: 1, Low: 2, High: 4}}
			}
			if seq.DigestDue(i) {
				row.StateDigest = start[:]
			}
			c.Rows = append(c.Rows, row)
			chain = digest.Next(chain, g)
		}
		head = RecordChain(head, c, int64(1000+first))
		rows = append(rows, FromCommit(seq, c, int64(1000+first), head)...)
	}
	return rows
}

func mustOpen(t *testing.T, path string) *Ledger {
	t.Helper()
	l, err := Open(path, start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, l) })
	return l
}

func shut(t testing.TB, l *Ledger) {
	if err := l.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func mustAppend(t *testing.T, l *Ledger, rows ...*api.LedgerRow) {
	t.Helper()
	if err := errors.Join(l.Append(rows...), l.Sync()); err != nil {
		t.Fatal(err)
	}
}

// check reads the ledger from a step on and compares.
func check(t *testing.T, l *Ledger, from int, want []*api.LedgerRow) {
	t.Helper()
	if l.Next() != uint64(len(want)) {
		t.Fatalf("next step %d, want %d", l.Next(), len(want))
	}
	i := from
	for row, err := range l.Rows(uint64(from)) {
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(row, want[i]) {
			t.Fatalf("row %d is %v\nwant %v", i, row, want[i])
		}
		i++
	}
	if i != max(from, len(want)) {
		t.Fatalf("rows end at step %d, want %d", i, len(want))
	}
}

func TestRowsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	rows := run()
	l := mustOpen(t, path)
	check(t, l, 0, nil)
	// Peers send rows in whatever pieces, entries are cut in the middle.
	for i := 0; i < len(rows); i += 3 {
		mustAppend(t, l, rows[i:min(i+3, len(rows))]...)
	}
	for from := range len(rows) + 2 {
		check(t, l, from, rows)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, digest.Sum{})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, again)
	check(t, again, 0, rows)
	if again.Torn() != 0 || again.Chain0() != start || !bytes.Equal(rows[len(rows)-1].Chain, chainOf(again)) {
		t.Errorf("torn %d, begins with %s, ends with %s", again.Torn(), again.Chain0(), again.Chain())
	}
}

func chainOf(l *Ledger) []byte { c := l.Chain(); return c[:] }

func TestRowsAreWhole(t *testing.T) {
	rows := run()
	for i, r := range rows {
		step := seq.At(i)
		if r.Evaluation != step.Evaluation || int(r.Epoch) != step.Epoch+1 || r.Step != uint64(i) {
			t.Errorf("row %d is %v", i, r)
		}
		if fmt.Sprint(r.Workers) != "[w2 w1]" || len(r.Shares) != 2 || r.Shares[0].Worker != 0 || r.Shares[1].Worker != 1 {
			t.Errorf("row %d was computed by %v %v", i, r.Workers, r.Shares)
		}
	}
}

// The rows written before a crash come back, and the rest can be appended, at
// whichever byte the file ends.
func TestTornAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	rows := run()[:3]
	whole := mustOpen(t, filepath.Join(dir, "whole"))
	mustAppend(t, whole, rows...)
	content, err := os.ReadFile(whole.path)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "torn")
	for zeros, stride := range map[int]int{0: 1, 100: 7} { // a file system may leave zeros where data was to come
		held := 0
		for size := headerSize; size <= len(content); size += stride {
			for held < len(rows) && int64(size) >= whole.ends[held+1] {
				held++
			}
			if err := os.WriteFile(path, append(bytes.Clone(content[:size]), make([]byte, zeros)...), 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := Open(path, start)
			if err != nil {
				t.Fatalf("%d of %d bytes: %v", size, len(content), err)
			}
			if want := int64(size+zeros) - whole.ends[held]; l.Torn() > want || l.Torn() < want-100 {
				t.Errorf("%d of %d bytes: cut off %d, want %d", size, len(content), l.Torn(), want)
			}
			if l.Next() < uint64(held) {
				t.Fatalf("%d of %d bytes: %d rows, want %d", size, len(content), l.Next(), held)
			}
			if err := l.Append(rows...); err != nil {
				t.Fatal(err)
			}
			check(t, l, 0, rows)
			shut(t, l)
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
				t.Fatalf("%d of %d bytes: the file differs after the rows were appended again", size, len(content))
			}
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	rows := run()
	spoil := func(i int, f func(*api.LedgerRow)) []*api.LedgerRow {
		r := proto.Clone(rows[i]).(*api.LedgerRow)
		f(r)
		return append(append([]*api.LedgerRow{}, rows[3:i]...), append([]*api.LedgerRow{r}, rows[i+1:]...)...)
	}
	for name, c := range map[string]struct {
		rows []*api.LedgerRow
		want string
	}{
		"a gap":             {rows[4:], "row of step 4 where step 3 is due"},
		"a gradient":        {spoil(5, func(r *api.LedgerRow) { r.GradientDigest = make([]byte, 16) }), "step 5: the row says chain"},
		"a short digest":    {spoil(5, func(r *api.LedgerRow) { r.GradientDigest = nil }), "step 5: a gradient's digest of 0 bytes"},
		"a state's digest":  {spoil(5, func(r *api.LedgerRow) { r.StateDigest = []byte{1} }), "step 5: a state's digest of 1 bytes"},
		"a loss":            {spoil(4, func(r *api.LedgerRow) { r.LossSum++ }), "steps 3 to 5: the rows do not give the record chain"},
		"a worker":          {spoil(4, func(r *api.LedgerRow) { r.Workers = []string{"w9", "w1"} }), "steps 3 to 5: the rows do not give the record chain"},
		"a share":           {spoil(4, func(r *api.LedgerRow) { r.Shares = r.Shares[:1] }), "steps 3 to 5: the rows do not give the record chain"},
		"an evaluated one":  {spoil(4, func(r *api.LedgerRow) { r.Correct++ }), "steps 3 to 5: the rows do not give the record chain"},
		"a top 5":           {spoil(4, func(r *api.LedgerRow) { r.Top5++ }), "steps 3 to 5: the rows do not give the record chain"},
		"another row again": {[]*api.LedgerRow{rows[3], func() *api.LedgerRow { r := proto.Clone(rows[2]).(*api.LedgerRow); r.UnixNanos++; return r }()}, "step 2: another row is held"},
	} {
		l := mustOpen(t, filepath.Join(t.TempDir(), "ledger"))
		mustAppend(t, l, rows[:3]...)
		if err := l.Append(c.rows...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		check(t, l, 0, rows[:3])
		mustAppend(t, l, rows[1:]...) // two of them held already
		check(t, l, 0, rows)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	if _, err := Open(path, digest.Sum{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing ledger without c(0): %v", err)
	}
	l := mustOpen(t, path)
	mustAppend(t, l, run()[:5]...)
	if _, err := Open(path, digest.Of(nil)); err == nil || !strings.Contains(err.Error(), "use another folder") {
		t.Errorf("another run's ledger: %v", err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range headerSize {
		b := bytes.Clone(content)
		b[i] ^= 1
		if err := os.WriteFile(path+"2", b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path+"2", start); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "no ledger of this version") {
			t.Errorf("byte %d of the header: %v", i, err)
		}
	}
	// A row that is damaged before others, wherever: nothing is cut, for no crash does that.
	for at := l.ends[1] + prefixSize; at < l.ends[2]; at++ {
		b := bytes.Clone(content)
		b[at] ^= 0x10
		if err := os.WriteFile(path+"4", b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path+"4", start); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "step 1: the row does not have the checksum") {
			t.Errorf("byte %d: %v", at, err)
		}
		if got, err := os.ReadFile(path + "4"); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("byte %d: a ledger that was refused has changed", at)
		}
	}
	// Two whole records in the wrong order are no crash's doing: nothing is cut.
	a, b, c := l.ends[1], l.ends[2], l.ends[3]
	swapped := append(append(append(bytes.Clone(content[:a]), content[b:c]...), content[a:b]...), content[c:]...)
	if err := os.WriteFile(path+"3", swapped, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path+"3", start); err == nil || !strings.Contains(err.Error(), "row of step 2 where step 1 is due") {
		t.Errorf("swapped rows: %v", err)
	}
	if got, err := os.ReadFile(path + "3"); err != nil || !bytes.Equal(got, swapped) {
		t.Error("a ledger that was refused has changed")
	}
}

// faulty is a disk that fills up after some bytes.
type faulty struct {
	*os.File
	room       int
	cut, flush error
}

func (f *faulty) WriteAt(b []byte, at int64) (int, error) {
	if len(b) > f.room {
		n, err := f.File.WriteAt(b[:f.room], at)
		return n, errors.Join(err, errors.New("no space left"))
	}
	f.room -= len(b)
	return f.File.WriteAt(b, at)
}

func (f *faulty) Truncate(size int64) error {
	if f.cut != nil {
		return f.cut
	}
	return f.File.Truncate(size)
}

func (f *faulty) Sync() error { return f.flush }

func TestFullDisk(t *testing.T) {
	rows := run()
	l := mustOpen(t, filepath.Join(t.TempDir(), "ledger"))
	mustAppend(t, l, rows[:2]...)
	disk := &faulty{File: l.file.(*os.File), room: 300}
	l.file = disk
	if err := l.Append(rows[2:8]...); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("a full disk: %v", err)
	}
	check(t, l, 0, rows[:2])
	disk.room = 1 << 20 // someone made room
	mustAppend(t, l, rows[2:8]...)
	check(t, l, 0, rows[:8])
	disk.room, disk.cut = 10, errors.New("broken")
	if err := l.Append(rows[8:]...); err == nil || !strings.Contains(err.Error(), "repair the disk") {
		t.Fatalf("a disk that cannot cut: %v", err)
	}
	disk.room = 1 << 20
	if err := l.Append(rows[8:]...); err == nil {
		t.Error("rows were appended behind a torn one")
	}
	check(t, l, 0, rows[:8])
}

func TestSyncThatFailsIsFinal(t *testing.T) {
	l := mustOpen(t, filepath.Join(t.TempDir(), "ledger"))
	disk := &faulty{File: l.file.(*os.File), room: 1 << 20, flush: errors.New("broken")}
	l.file = disk
	if err := l.Sync(); err == nil {
		t.Fatal("no error")
	}
	disk.flush = nil
	if l.Sync() == nil || l.Append(run()[0]) == nil {
		t.Error("went on after a failed sync")
	}
}

// The head names every record there is: it may not change between releases.
func TestRecordChainGolden(t *testing.T) {
	rows := run()
	const want = "6846c5ded88bac40b123b0403f9043a1fee0ac290fe0b4195449e0ffc50c92b1"
	if got := fmt.Sprintf("%x", rows[len(rows)-1].RecordChain); got != want {
		t.Errorf("record chain %s, want %s", got, want)
	}
}

func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "ledger")
	l, err := Open(path, start)
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(l.Append(run()[:3]...), l.Close()); err != nil {
		f.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content[headerSize:])
	f.Fuzz(func(t *testing.T, tail []byte) {
		path := filepath.Join(t.TempDir(), "ledger")
		if err := os.WriteFile(path, append(bytes.Clone(content[:headerSize]), tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(path, start)
		if err != nil {
			return
		}
		defer shut(t, l)
		n := uint64(0)
		for row, err := range l.Rows(0) {
			if err != nil || row.Step != n {
				t.Fatalf("row %d: %v %v", n, row, err)
			}
			n++
		}
		if n != l.Next() {
			t.Errorf("%d rows, next step %d", n, l.Next())
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	rows := run()
	l, err := Open(filepath.Join(b.TempDir(), "ledger"), start)
	if err != nil {
		b.Fatal(err)
	}
	defer shut(b, l)
	for b.Loop() {
		if err := l.Append(rows...); err != nil {
			b.Fatal(err)
		}
	}
}
