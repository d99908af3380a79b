package ledger

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/digest"
)

func TestChecked(t *testing.T) {
	rows := run()
	spoil := func(i int, f func(*api.LedgerRow)) []*api.LedgerRow {
		r := proto.CloneOf(rows[i])
		f(r)
		return append(append(append([]*api.LedgerRow{}, rows[:i]...), r), rows[i+1:]...)
	}
	gone := errors.New("gone")
	for name, c := range map[string]struct {
		rows  []*api.LedgerRow
		end   error // of the rows
		from  digest.Sum
		good  int    // rows that are passed on
		step  uint64 // of a broken chain
		chain string // "": nothing is broken
	}{
		"whole":           {rows, nil, start, len(rows), 0, ""},
		"none":            {nil, nil, start, 0, 0, ""},
		"broken off":      {rows[:7], gone, start, 7, 0, ""},
		"another start":   {rows, nil, digest.Of(nil), 0, 0, "chain"},
		"a gradient":      {spoil(17, func(r *api.LedgerRow) { r.GradientDigest = make([]byte, 16) }), nil, start, 17, 17, "chain"},
		"a chain":         {spoil(9, func(r *api.LedgerRow) { r.Chain = make([]byte, 32) }), nil, start, 9, 9, "chain"},
		"a loss":          {spoil(4, func(r *api.LedgerRow) { r.LossSum++ }), nil, start, 6, 3, "record_chain"},
		"an audit":        {spoil(4, func(r *api.LedgerRow) { r.Audited = 5 }), nil, start, 6, 3, "record_chain"},
		"a time":          {spoil(4, func(r *api.LedgerRow) { r.PublishedUs = 5 }), nil, start, 6, 3, "record_chain"},
		"a worker's name": {spoil(3, func(r *api.LedgerRow) { r.Workers = []string{"w9", "w1"} }), nil, start, 6, 3, "record_chain"},
	} {
		passed := 0
		var end error
		for row, err := range Checked(c.from, each(c.rows, c.end)) {
			if end = err; err != nil {
				break
			}
			if row != c.rows[passed] {
				t.Errorf("%s: row %d is another", name, passed)
			}
			passed++
		}
		var broken *BrokenError
		switch {
		case passed != c.good:
			t.Errorf("%s: %d rows are passed on, want %d", name, passed, c.good)
		case c.chain == "" && !errors.Is(end, c.end):
			t.Errorf("%s: ends with %v, want %v", name, end, c.end)
		case c.chain != "" && (!errors.As(end, &broken) || broken.Step != c.step || broken.Chain != c.chain || len(broken.Held) != 32 || len(broken.Computed) != 32):
			t.Errorf("%s: ends with %v (%+v), want %s broken at step %d", name, end, broken, c.chain, c.step)
		}
	}
}
