// Package binaries builds the two programs for tests that start them.
package binaries

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var once struct {
	sync.Mutex
	dir string
	err error
}

// Build returns the folder with coordinator and worker, built once in a test's
// process. Clean removes it.
func Build(t testing.TB) string {
	t.Helper()
	once.Lock()
	defer once.Unlock()
	if once.dir == "" && once.err == nil {
		once.dir, once.err = build()
	}
	if once.err != nil {
		t.Fatal(once.err)
	}
	return once.dir
}

func build() (string, error) {
	dir, err := os.MkdirTemp("", "convoy-binaries-")
	if err != nil {
		return "", err
	}
	c := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "convoy/cmd/coordinator", "convoy/cmd/worker")
	c.Stderr = os.Stderr
	return dir, c.Run()
}

// Clean removes what Build made, for TestMain.
func Clean() error {
	once.Lock()
	defer once.Unlock()
	return os.RemoveAll(once.dir)
}
