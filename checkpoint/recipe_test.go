package checkpoint

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecipe: what a checkpoint of another release was trained on can be read, as
// long as the file is whole.
func TestRecipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	s, m, _ := sample(0)
	m.Recipe.ArithmeticVersion-- // of an older release
	mustWrite(t, path, s, m)
	if got, err := Recipe(path); err != nil || !bytes.Equal(got, m.Recipe.Canonical()) {
		t.Fatalf("%s, %v", got, err)
	}
	if _, err := About(path); err == nil {
		t.Fatal("this release takes the older one's state")
	}
	whole := content(t, path)
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"an altered recipe": {bytes.Replace(whole, []byte(`\"seed\":`), []byte(`\"sead\":`), 1), "seal"},
		"a torn file":       {whole[:20], "the file is damaged"},
	} {
		if bytes.Equal(c.content, whole) {
			t.Fatalf("%s: nothing was altered", name)
		}
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Recipe(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := Recipe(path + "x"); err == nil {
		t.Error("no file, no error")
	}
}
