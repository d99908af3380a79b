//go:build !linux

package local

import (
	"errors"
	"syscall"
)

// bound keeps a terminal's interrupt from a child: this process decides. Only
// Linux ends it with this process whatever happens.
func bound() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func (c *Cluster) pinned(_ string, start func() error) error {
	if c.o.Pin {
		return errors.New("processes can be pinned to cores on Linux alone: leave the option out")
	}
	return start()
}
