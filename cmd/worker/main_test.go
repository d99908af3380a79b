package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"convoy/bus"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"worker": main})
}

// TestScript runs testdata/script: what a user types and what comes back.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}

func TestDefaultIDIsAName(t *testing.T) {
	if err := bus.CheckName(defaultID()); err != nil {
		t.Error(err)
	}
}
