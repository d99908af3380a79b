package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// leakChecked fails a run of tests that passed but left goroutines behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"coordinator": main})
}

// TestScript runs testdata/script: what a user types and what comes back.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"idx":   idx,
			"digit": digit,
			"forge": forge,
		},
	})
}

// exits checks the exit code of a command: exits 2 coordinator train --lr x.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		var exit interface{ ExitCode() int }
		ok := false
		if exit, ok = err.(interface{ ExitCode() int }); !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if (code == want) == neg {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// idx writes a small data set into a folder: idx DIR TRAIN TEST.
func idx(ts *testscript.TestScript, _ bool, args []string) {
	train, err := strconv.Atoi(args[1])
	ts.Check(err)
	test, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(writeIDX(ts.MkAbs(args[0]), train, test))
}

// writeIDX writes the four files of an easy data set of 28 × 28 images: class k
// has a bright bar at row 2k.
func writeIDX(dir string, train, test int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for prefix, n := range map[string]int{"train": train, "t10k": test} {
		images := []byte{0, 0, 8, 3, 0, 0, byte(n >> 8), byte(n), 0, 0, 0, 28, 0, 0, 0, 28}
		labels := []byte{0, 0, 8, 1, 0, 0, byte(n >> 8), byte(n)}
		for i := range n {
			class := i % 10
			image := make([]byte, 28*28)
			for x := range 28 {
				image[(2*class+i%3)*28+x] = byte(200 + i%50)
			}
			images = append(images, image...)
			labels = append(labels, byte(class))
		}
		for name, content := range map[string][]byte{"images-idx3-ubyte": images, "labels-idx1-ubyte": labels} {
			if err := os.WriteFile(filepath.Join(dir, prefix+"-"+name), content, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
