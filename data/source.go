package data

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"convoy/digest"
)

// The forms in which a set's files may come; FormatAuto looks which it is.
const (
	FormatAuto     = "auto"
	FormatIDX      = "idx"
	FormatCIFAR10  = "cifar10"
	FormatCIFAR100 = "cifar100"
	FormatFolder   = "folder"
)

// Formats lists what Options.Format may be.
func Formats() []string {
	return []string{FormatAuto, FormatIDX, FormatCIFAR10, FormatCIFAR100, FormatFolder}
}

// Options say how a set is read from files. The zero value is what a job file's
// data.dir means.
type Options struct {
	Format     string // one of Formats; "" is FormatAuto
	Coarse     bool   // CIFAR-100's 20 superclasses instead of its 100 classes
	RGB        bool   // a grey image in a folder becomes RGB, with three equal channels
	SkipBroken bool   // leave out the files of a folder that cannot be read
	// Height and Width are what a folder's images are resized to, by Resizer; 0
	// leaves them as they are.
	Height, Width int
	// Validation is how many of 10,000 training examples are set aside where a
	// set has no test examples, chosen by Seed; 0 is 1,000.
	Validation int
	Shuffle    bool // mix the training examples, by Seed, before they go into shards
	Seed       uint64
}

// ValidationUnit is what Options.Validation counts in.
const ValidationUnit = 10_000

// defaultValidation is a tenth.
const defaultValidation = ValidationUnit / 10

func (o Options) check() error {
	switch {
	case o.Format != "" && !slices.Contains(Formats(), o.Format):
		return fmt.Errorf("format %q: choose one of %s", o.Format, strings.Join(Formats(), ", "))
	case o.Validation < 0 || o.Validation >= ValidationUnit:
		return fmt.Errorf("a validation part of %d in %d: want less than all", o.Validation, ValidationUnit)
	case (o.Height == 0) != (o.Width == 0) || o.Height < 0 || o.Height > maxSide || o.Width < 0 || o.Width > maxSide:
		return fmt.Errorf("resize to %d×%d: want sides of 1 to %d pixels", o.Height, o.Width, maxSide)
	}
	return nil
}

// openSource finds the set called name in dir.
func openSource(ctx context.Context, name, dir string, o Options) (source, error) {
	s, err := findSource(ctx, name, dir, o)
	if err != nil {
		return source{}, fmt.Errorf("data set %q: %w", name, err)
	}
	s.about.Name = name
	switch {
	case s.test != nil && o.Validation != 0:
		return source{}, fmt.Errorf("data set %q: %s has its own test examples: leave out the validation part", name, dir)
	case s.test == nil:
		s = s.setAside(o)
	}
	if o.Shuffle {
		s = s.shuffle(o.Seed)
	}
	return s, nil
}

func findSource(ctx context.Context, name, dir string, o Options) (source, error) {
	if err := o.check(); err != nil {
		return source{}, err
	}
	if !validName(name) {
		return source{}, errors.New("want a name of 1 to 64 characters of a to z, 0 to 9 and -")
	}
	format, err := detect(dir, o.Format)
	if err != nil {
		return source{}, err
	}
	if (o.Height != 0 || o.SkipBroken || o.RGB) && format != FormatFolder {
		return source{}, fmt.Errorf("%s holds a set of format %s: resizing, RGB and leaving out broken files are for folders of images", dir, format)
	}
	if o.Coarse && format != FormatCIFAR100 {
		return source{}, fmt.Errorf("%s holds a set of format %s: coarse classes are CIFAR-100's", dir, format)
	}
	switch format {
	case FormatIDX:
		return readIDXSet(name, dir)
	case FormatCIFAR10:
		return readCIFAR10(dir)
	case FormatCIFAR100:
		return readCIFAR100(dir, o.Coarse)
	}
	return readFolder(ctx, dir, o)
}

// detect says of which format the files in dir are, unless it is known.
func detect(dir, format string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("%w: name the folder that holds its files", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s is no folder: unpack it if it is an archive, and name the folder that holds its files", dir)
	}
	if format != "" && format != FormatAuto {
		return format, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	folders := false
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, "train-images") || strings.HasPrefix(name, "t10k-images"):
			return FormatIDX, nil
		case strings.HasPrefix(name, "data_batch_") && strings.HasSuffix(name, ".bin"):
			return FormatCIFAR10, nil
		case name == "train.bin":
			return FormatCIFAR100, nil
		}
		folders = folders || isFolder(dir, e)
	}
	if !folders {
		return "", fmt.Errorf("%s holds no set: want MNIST's four IDX files, CIFAR's data_batch_1.bin or train.bin, folders of classes with PNG or JPEG files, or what `coordinator data import` wrote", dir)
	}
	return FormatFolder, nil
}

// isFolder reports whether e is a folder, or a link to one, that counts: hidden
// ones do not.
func isFolder(dir string, e fs.DirEntry) bool {
	if strings.HasPrefix(e.Name(), ".") {
		return false
	}
	info, err := os.Stat(filepath.Join(dir, e.Name()))
	return err == nil && info.IsDir()
}

// resident reads all of the set into memory.
func (s source) resident(ctx context.Context) (*Set, error) {
	size := int64(s.train.Len()+s.test.Len()) * int64(s.about.ImageBytes())
	if size > MaxResidentBytes {
		return nil, fmt.Errorf("data set %q has %d bytes of pixels: at most %d are read from their own files, import it with `coordinator data import`", s.about.Name, size, int64(MaxResidentBytes))
	}
	var lock sync.Mutex
	parts := map[string][]byte{}
	m, err := s.build(ctx, func(_ int, shard Shard, b []byte) error {
		lock.Lock()
		defer lock.Unlock()
		parts[shard.SHA256] = b
		return nil
	})
	if err != nil {
		return nil, err
	}
	return FromShards(m, func(sha digest.Sum) ([]byte, error) { return parts[sha.String()], nil })
}
