package coordinator

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockFolder makes dir and claims it for this process. The kernel lets go of
// the lock when the process ends, however it ends, so a lock file that is left
// behind locks nobody out.
func lockFolder(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("run folder %s cannot be made: %w: choose a folder that you may write to", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("run folder %s cannot be written: %w: choose a folder that you may write to", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := holderOf(f)
		err = errors.Join(err, f.Close())
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("run folder %s belongs to a running process (%s): stop it or choose another folder", dir, holder)
		}
		return nil, fmt.Errorf("run folder %s cannot be locked: %w: choose a folder on a local disk", dir, err)
	}
	if err := writeHolder(f); err != nil {
		return nil, errors.Join(fmt.Errorf("run folder %s cannot be written: %w: choose a folder that you may write to", dir, err), f.Close())
	}
	return f.Close, nil
}

// holderOf reads the process id that the lock's owner wrote down.
func holderOf(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	pid := strings.TrimSpace(string(text))
	if err != nil || pid == "" {
		return "pid unknown"
	}
	return "pid " + pid
}

func writeHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(f, "%d\n", os.Getpid())
	return err
}
