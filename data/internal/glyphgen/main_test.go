package main

import (
	"os"
	"testing"
)

// TestGlyphs checks that the committed glyphs are those that this program draws.
// It draws with package math, which on another processor may round one unit
// apart; the committed file is what counts.
func TestGlyphs(t *testing.T) {
	committed, err := os.ReadFile("../../glyphs.bin")
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := glyphs()
	if err != nil {
		t.Fatal(err)
	}
	if len(drawn) != len(committed) {
		t.Fatalf("draws %d bytes, %d are committed: run go generate ./data", len(drawn), len(committed))
	}
	for i := range drawn {
		if d := int(drawn[i]) - int(committed[i]); d < -1 || d > 1 {
			t.Fatalf("byte %d is %d, committed %d: run go generate ./data", i, drawn[i], committed[i])
		}
	}
}
