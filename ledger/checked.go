package ledger

import (
	"iter"

	"convoy/api"
	"convoy/digest"
)

// BrokenError says that a row does not go on from those before it.
type BrokenError struct {
	Step     uint64 // the row's, or the first of its entry
	Chain    string // "chain", the result chain, or "record_chain"
	Held     []byte // what the rows say
	Computed []byte // what they give
	text     string
}

func (e *BrokenError) Error() string { return e.text }

// Checked passes on a run's rows, which begin with step 0, and checks on the way
// that they make up both chains from chain0 = c(0) on. The first that does not
// fit ends them, with a *BrokenError where a chain does not link. Of an entry
// whose last rows are not among them, nothing tells whether the record chain
// links.
func Checked(chain0 digest.Sum, rows iter.Seq2[*api.LedgerRow, error]) iter.Seq2[*api.LedgerRow, error] {
	return func(yield func(*api.LedgerRow, error) bool) {
		at := chains{result: chain0}
		for row, err := range rows {
			if err == nil {
				err = at.next(row)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}
