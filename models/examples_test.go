package models

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"convoy/job"
)

// TestExamples builds the network of every job file in examples for the images
// that it names.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d job files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f, err := job.Parse(source, file)
			if err != nil {
				t.Fatal(err)
			}
			d := job.Data{Name: f.Data.Name, Manifest: strings.Repeat("0", 64), Train: 50000, Test: 10000, Classes: 10, Channels: 1, Height: 28, Width: 28}
			if d.Name == "cifar10" {
				d.Channels, d.Height, d.Width = 3, 32, 32
			}
			r := f.Recipe(d)
			if err := r.Check(); err != nil {
				t.Error(err)
			}
			if _, err := ForRecipe(r); err != nil {
				t.Error(err)
			}
		})
	}
}
