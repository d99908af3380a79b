package ps

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"convoy/digest"
)

// checkpointFile is a checkpoint on this replica's disk.
type checkpointFile struct {
	path string
	step int
}

func checkpointPath(dir string, step int) string {
	return filepath.Join(dir, fmt.Sprintf("step-%09d.safetensors", step))
}

// checkpointFiles lists the checkpoints in dir by step.
func checkpointFiles(dir string) []checkpointFile {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // no folder, no checkpoints
	}
	var files []checkpointFile
	for _, e := range entries {
		var step int
		if n, err := fmt.Sscanf(e.Name(), "step-%d.safetensors", &step); n == 1 && err == nil && e.Name() == filepath.Base(checkpointPath(dir, step)) {
			files = append(files, checkpointFile{filepath.Join(dir, e.Name()), step})
		}
	}
	slices.SortFunc(files, func(a, b checkpointFile) int { return a.step - b.step })
	return files
}

func fileDigest(path string) (digest.Sum, error) {
	f, err := os.Open(path)
	if err != nil {
		return digest.Sum{}, err
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return digest.Sum{}, fmt.Errorf("read %s: %w", path, err)
	}
	return digest.Sum(h.Sum(nil)), nil
}
