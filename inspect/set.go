package inspect

import (
	"fmt"
	"os"
	"path/filepath"

	"convoy/data"
	"convoy/digest"
)

// runDepth is how many folders a checkpoint may lie below its run's.
const runDepth = 4

// manifestsDir is where a data.Store has its manifests.
const manifestsDir = "manifests"

// store returns the store of the run that the checkpoint lies in, and the
// manifest of its data there; nil where there is none.
func (t *Trained) store() (*data.Store, *data.Manifest, error) {
	sum, err := digest.Parse(t.Recipe.Data.Manifest)
	if err != nil {
		return nil, nil, err
	}
	return storeAround(filepath.Dir(t.File), sum)
}

// storeAround returns the store of the run that dir is or lies in, and the
// manifest of a digest there; nil where there is none.
func storeAround(dir string, sum digest.Sum) (*data.Store, *data.Manifest, error) {
	for range runDepth {
		store := filepath.Join(dir, dataDir)
		if _, err := os.Stat(filepath.Join(store, manifestsDir, sum.String())); err == nil {
			s, err := data.OpenStore(store)
			if err != nil {
				return nil, nil, err
			}
			m, err := s.Manifest(sum)
			return s, &m, err
		}
		dir = filepath.Join(dir, "..")
	}
	return nil, nil, nil
}

// findManifest returns the manifest of the data that the network was trained on,
// nil where it is not at hand.
func (t *Trained) findManifest() (*data.Manifest, error) {
	if data.Builtin(t.Recipe.Data.Name) {
		set, err := t.Set()
		if err != nil {
			return nil, err
		}
		return &set.Manifest, nil
	}
	_, m, err := t.store()
	return m, err
}

// Set opens the data that the network was trained on: built in, or from the
// run's own shards.
func (t *Trained) Set() (*data.Set, error) {
	d := t.Recipe.Data
	if data.Builtin(d.Name) {
		set, err := data.Open(d.Name, "")
		if err == nil && set.Manifest.Digest().String() != d.Manifest {
			err = fmt.Errorf("data set %s is not the one that %s was trained on: use the release that trained it", d.Name, t.File)
		}
		return set, err
	}
	store, m, err := t.store()
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, fmt.Errorf("data set %s is not in a run's folder around %s: name it with --data", d.Name, t.File)
	}
	return data.FromShards(*m, store.Get)
}

// Accepts reports why the network cannot be asked about a data set's examples.
func (t *Trained) Accepts(m data.Manifest) error {
	d := t.Recipe.Data
	if m.Channels != d.Channels || m.Height != d.Height || m.Width != d.Width {
		return fmt.Errorf("data set %s has images of %d×%d×%d, the network was trained on %d×%d×%d: name a set of the same shape",
			m.Name, m.Channels, m.Height, m.Width, d.Channels, d.Height, d.Width)
	}
	if m.Classes != d.Classes {
		return fmt.Errorf("data set %s has %d classes, the network %d: name a set of the same classes", m.Name, m.Classes, d.Classes)
	}
	return nil
}

// Meet shows the network a data set that it is to be asked about, which it must
// accept: the classes are named as there. If it is the very set that it was
// trained on, a checkpoint outside of its run needs nothing else.
func (t *Trained) Meet(m data.Manifest) error {
	if err := t.Accepts(m); err != nil {
		return err
	}
	if m.Digest().String() == t.Recipe.Data.Manifest {
		t.manifest = &m
	}
	t.names = classNames(m)
	return nil
}
