package local

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// bound makes a child end with this process, even one that is stopped, and keeps
// a terminal's interrupt from it: this process decides.
func bound() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// pinned calls start so that a worker is born on its cores: a process inherits
// those of the thread that starts it, all its threads do, and Go counts them.
func (c *Cluster) pinned(name string, start func() error) error {
	i := slices.Index(c.workers, name)
	if !c.o.Pin || i < 0 {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("cores of this process: %w", err)
	}
	own := coresOf(all, i, c.o.Threads)
	if err := unix.SchedSetaffinity(0, &own); err != nil {
		return fmt.Errorf("pin to cores: %w", err)
	}
	return errors.Join(start(), unix.SchedSetaffinity(0, &all))
}

// coresOf are the cores of worker i among those of all, threads of them; after
// the last it begins again with the first.
func coresOf(all unix.CPUSet, i, threads int) (own unix.CPUSet) {
	var list []int
	for core := range len(all) * 64 {
		if all.IsSet(core) {
			list = append(list, core)
		}
	}
	for j := range min(threads, len(list)) {
		own.Set(list[(i*threads+j)%len(list)])
	}
	return own
}
