package checkpoint

import (
	"errors"
	"fmt"
)

// Recipe reads the canonical recipe of the run that a checkpoint belongs to, also
// where another release wrote the file, whose recipe this one could not carry out.
// The header's seal is checked; the tensors are not looked at.
func Recipe(path string) (canonical []byte, err error) {
	f, size, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h, err := readHeader(f, size)
	if err == nil {
		err = checkSeal(h)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", path, damaged(err))
	}
	return []byte(h.Meta["recipe"]), nil
}
