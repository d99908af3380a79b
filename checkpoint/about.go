package checkpoint

import (
	"errors"
	"fmt"
)

// About reads what a checkpoint says of itself: which state of which run it
// holds. The tensors are not looked at.
func About(path string) (m Meta, err error) {
	f, size, err := open(path)
	if err != nil {
		return m, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h, err := readHeader(f, size)
	if err != nil {
		return m, fmt.Errorf("checkpoint %s: %w", path, damaged(err))
	}
	if m, err = sealedMeta(h); err != nil {
		return m, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return m, nil
}

// sealedMeta decodes a header's metadata and checks its seal.
func sealedMeta(h *header) (Meta, error) {
	m, err := decodeMeta(h.Meta)
	if err != nil {
		return m, err
	}
	if err := checkSeal(h); err != nil {
		return m, damaged(err)
	}
	return m, nil
}

func checkSeal(h *header) error {
	want, err := seal(h)
	if err != nil || h.Meta[sealKey] != want {
		return errors.Join(err, fmt.Errorf("the header's seal is %q, want %s", h.Meta[sealKey], want))
	}
	return nil
}
