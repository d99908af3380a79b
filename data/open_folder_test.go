package data

import (
	"path/filepath"
	"testing"
)

func TestNameOf(t *testing.T) {
	for folder, want := range map[string]string{
		"mnist": "mnist", "CIFAR 10": "cifar-10", "Ümlaut_1": "mlaut-1", "/": "folder", "digits": "folder", "--a--": "a",
	} {
		if got := nameOf(folder); got != want || !validName(got) {
			t.Errorf("folder %q is named %q, want %q", folder, got, want)
		}
	}
}

// TestOpenFolder: an imported set keeps its name, files are named by their folder.
func TestOpenFolder(t *testing.T) {
	files := map[string][]byte{}
	for name, b := range twoClasses(t) {
		files["Small Set/"+name] = b
	}
	from := filepath.Join(writeTree(t, files), "Small Set")
	to := filepath.Join(t.TempDir(), "imported")
	done, err := ImportFiles(t.Context(), "mine", from, to, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{from: "small-set", to: "mine"} {
		set, err := OpenFolder(dir)
		if err != nil || set.Manifest.Name != want || set.Train.Len() != done.Manifest.Train {
			t.Errorf("%s: %+v, %v, want name %s", dir, set, err, want)
		}
	}
	if _, err := OpenFolder(filepath.Join(from, "nowhere")); err == nil {
		t.Error("a folder that does not exist is opened")
	}
}
