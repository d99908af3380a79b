package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// process is one start of a program under its name.
type process struct {
	name  string
	path  string
	args  []string
	log   string // path of the file
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended and was waited for
	err   error         // how it ended; to be read once ended is closed
	asked atomic.Bool   // somebody ended it on purpose
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// fell reports that it ended though nobody wanted it to.
func (p *process) fell() bool { return !p.running() && !p.asked.Load() }

func (p *process) kill() {
	p.asked.Store(true)
	_ = p.cmd.Process.Kill() // fails if it has ended
}

// FindWorker returns the worker binary: the one beside this program, else the one
// on PATH.
func FindWorker() (string, error) {
	const name = "worker"
	own, err := os.Executable()
	if err == nil {
		beside := filepath.Join(filepath.Dir(own), name)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return beside, nil
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	return "", fmt.Errorf("no program %q beside %s nor on PATH: build both with `make build`, or name it with --worker-bin", name, own)
}

// run starts a program under a name that none runs under.
func (c *Cluster) run(name, path string, args ...string) error {
	p := &process{name: name, path: path, args: args, log: c.Log(name), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("log of %s: %w", name, err)
	}
	p.cmd = exec.Command(path, args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = c.environment(name)
	p.cmd.SysProcAttr = bound()
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.processes[name]; before != nil && before.running() {
		return errors.Join(fmt.Errorf("%s is running already: end it first", name), log.Close())
	}
	if err := c.pinned(name, p.cmd.Start); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	c.processes[name] = p
	go func() {
		p.err = errors.Join(p.cmd.Wait(), log.Close())
		close(p.ended)
	}()
	return nil
}

func (c *Cluster) environment(name string) []string {
	own := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CONVOY_") })
	if c.o.Environment != nil {
		own = append(own, c.o.Environment(name)...)
	}
	return own
}

// Log is the path of the log of the process with that name.
func (c *Cluster) Log(name string) string { return filepath.Join(c.o.Dir, name+".log") }

func (c *Cluster) process(name string) (*process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.processes[name]
	if p == nil {
		return nil, fmt.Errorf("no process %q was started: there are %s, %s and %s", name, natsName, strings.Join(c.replicas, " "), strings.Join(c.workers, " "))
	}
	return p, nil
}

// Running reports whether the process runs, stopped or not.
func (c *Cluster) Running(name string) bool {
	p, err := c.process(name)
	return err == nil && p.running()
}

// Pid is the system's number of the process, which runs or has run.
func (c *Cluster) Pid(name string) (int, error) {
	p, err := c.process(name)
	if err != nil {
		return 0, err
	}
	return p.cmd.Process.Pid, nil
}

// Kill ends a process as a crash does, with SIGKILL, and waits for its end.
func (c *Cluster) Kill(name string) error { return c.end(name, syscall.SIGKILL) }

// Term asks a process to leave, with SIGTERM, and waits for its end. How it ended
// is in the error.
func (c *Cluster) Term(name string) error { return c.end(name, syscall.SIGTERM) }

func (c *Cluster) end(name string, s syscall.Signal) error {
	p, err := c.process(name)
	if err != nil {
		return err
	}
	p.asked.Store(true)
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%v to %s: %w", s, name, err)
	}
	<-p.ended
	if s == syscall.SIGTERM && p.err != nil {
		return fmt.Errorf("%s, told to leave: %w: %s", name, p.err, lastLines(p.log))
	}
	return nil
}

// Stop halts a process where it stands, with SIGSTOP.
func (c *Cluster) Stop(name string) error { return c.signal(name, syscall.SIGSTOP) }

// Cont lets a stopped process go on.
func (c *Cluster) Cont(name string) error { return c.signal(name, syscall.SIGCONT) }

func (c *Cluster) signal(name string, s syscall.Signal) error {
	p, err := c.process(name)
	if err == nil {
		err = p.cmd.Process.Signal(s)
	}
	if err != nil {
		return fmt.Errorf("%v to %s: %w", s, name, err)
	}
	return nil
}

// Expect says that the process may end by itself from now on, as one with a
// failpoint does.
func (c *Cluster) Expect(name string) error {
	p, err := c.process(name)
	if err == nil {
		p.asked.Store(true)
	}
	return err
}

// WaitEnd waits until the process has ended.
func (c *Cluster) WaitEnd(ctx context.Context, name string) error {
	p, err := c.process(name)
	if err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s has not ended: %w", name, context.Cause(ctx))
	}
}

// Restart starts a process that has ended again, with the same command line,
// addresses and folder. A worker's log and a coordinator's goes on in its file.
func (c *Cluster) Restart(name string) error {
	p, err := c.process(name)
	if err != nil {
		return err
	}
	return c.run(name, p.path, p.args...)
}

// Fallen is an error where a process has ended by itself.
func (c *Cluster) Fallen() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for name, p := range c.processes {
		if p.fell() {
			errs = append(errs, fmt.Errorf("%s ended by itself (%w): %s", name, p.err, lastLines(p.log)))
		}
	}
	return errors.Join(errs...)
}

// lastLines are the end of a log.
func lastLines(path string) string {
	const most = 600 // bytes
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }() // nothing was written
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// waitListening waits until a process takes connections.
func (c *Cluster) waitListening(ctx context.Context, name, address string) error {
	return c.await(ctx, "connection to "+name, func(ctx context.Context) (bool, string) {
		d := net.Dialer{Timeout: time.Second}
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return false, err.Error()
		}
		return conn.Close() == nil, address
	})
}
