package ledger

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"convoy/api"
)

// Read returns the rows of the ledger at path without changing the file, which
// another process may be appending to: the rows end before the first that is not
// whole. The chains are checked; an error ends the rows.
func Read(path string) iter.Seq2[*api.LedgerRow, error] {
	return func(yield func(*api.LedgerRow, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(nil, fmt.Errorf("read ledger: %w", err))
			return
		}
		stopped := errors.New("stopped")
		err = readRows(f, path, func(row *api.LedgerRow) error {
			if !yield(row, nil) {
				return stopped
			}
			return nil
		})
		closed := f.Close()
		if errors.Is(err, stopped) {
			return
		}
		if err = errors.Join(err, closed); err != nil {
			yield(nil, err)
		}
	}
}

// readRows calls take with each whole row of a file.
func readRows(f *os.File, path string, take func(*api.LedgerRow) error) error {
	chain0, err := readHeader(f, path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	size := info.Size()
	in := io.NewSectionReader(f, 0, size)
	tail := chains{result: chain0}
	for at := int64(headerSize); ; {
		row, end, err := readRow(in, at, size)
		if errors.Is(err, errTorn) {
			return nil
		}
		if err == nil {
			err = tail.next(row)
		}
		if err != nil {
			return fmt.Errorf("ledger %s: %w", path, err)
		}
		if err := take(row); err != nil {
			return err
		}
		at = end
	}
}
