package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// keptPixels is how many bytes of pixels scan keeps in memory, so that files are
// not decoded twice; images beyond it are read again when their shard is made.
const keptPixels = 1 << 30

// maxImageFile bounds an image's file in bytes.
const maxImageFile = 64 << 20

// pictures are the images of files, all of one kind.
type pictures struct {
	root   string
	kind   kind
	o      Options
	files  []file
	pixels [][]byte // nil where an image is read again
}

func (p pictures) Len() int { return len(p.files) }

func (p pictures) label(i int) int { return p.files[i].class }

func (p pictures) read(i int, pixels []byte) (int, error) {
	kept := p.pixels[i]
	if kept == nil {
		var found kind
		var err error
		kept, found, err = readImage(filepath.Join(p.root, p.files[i].path), p.o)
		if err == nil && found != p.kind {
			err = fmt.Errorf("is %v now and was %v: do not change the files meanwhile", found, p.kind)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Join(p.root, p.files[i].path), err)
		}
	}
	copy(pixels, kept)
	return p.files[i].class, nil
}

// readImage reads a file and brings it to the form that o asks for.
func readImage(path string, o Options) ([]byte, kind, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, kind{}, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxImageFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, kind{}, err
	}
	if len(b) > maxImageFile {
		return nil, kind{}, fmt.Errorf("more than %d bytes", maxImageFile)
	}
	pixels, channels, height, width, err := DecodeImage(b)
	if err != nil {
		return nil, kind{}, err
	}
	if o.RGB && channels == 1 {
		pixels, channels = slices.Concat(pixels, pixels, pixels), 3
	}
	if o.Height != 0 {
		pixels = Resize(pixels, channels, height, width, o.Height, o.Width)
		height, width = o.Height, o.Width
	}
	return pixels, kind{height, width, channels}, nil
}

// look is what scan found in a file.
type look struct {
	pixels []byte
	kind   kind
	err    error
}

// scan decodes every file on all cores. Files that cannot be read and images of
// different kinds are counted and named.
func scan(ctx context.Context, s scanned, o Options) (source, error) {
	looks := make([]look, len(s.files))
	var kept atomic.Int64
	err := inOrder(ctx, len(s.files), func(i int) error {
		l := &looks[i]
		l.pixels, l.kind, l.err = readImage(filepath.Join(s.root, s.files[i].path), o)
		if kept.Add(int64(len(l.pixels))) > keptPixels {
			l.pixels = nil
		}
		return nil
	})
	if err != nil {
		return source{}, err
	}
	skipped, err := s.leaveOutBroken(&looks, o.SkipBroken)
	if err != nil {
		return source{}, err
	}
	k, err := s.oneKind(looks)
	if err != nil {
		return source{}, err
	}
	all := pictures{root: s.root, kind: k, o: o, files: s.files}
	for _, l := range looks {
		all.pixels = append(all.pixels, l.pixels)
	}
	train, test := all, all
	train.files, train.pixels = all.files[:s.train], all.pixels[:s.train]
	found := source{
		about:   Manifest{Classes: len(s.classes), ClassNames: s.classes, Channels: k.channels, Height: k.height, Width: k.width},
		train:   train,
		skipped: skipped,
	}
	if s.hasTest {
		test.files, test.pixels = all.files[s.train:], all.pixels[s.train:]
		found.test = test
	}
	return found, nil
}

// leaveOutBroken returns what could not be read, or makes an error of it.
func (s *scanned) leaveOutBroken(looks *[]look, skip bool) (skipped []string, err error) {
	var files []file
	var whole []look
	train := 0
	for i, l := range *looks {
		switch {
		case l.err != nil:
			skipped = append(skipped, fmt.Sprintf("%s (%v)", s.files[i].path, l.err))
			continue
		case i < s.train:
			train++
		}
		files, whole = append(files, s.files[i]), append(whole, l)
	}
	switch {
	case len(skipped) == 0:
		return nil, nil
	case len(files) == 0:
		return nil, fmt.Errorf("%s: %w; the first are %s", s.root, errNoImages, firstOf(skipped))
	case !skip:
		return nil, fmt.Errorf("%d of %d files in %s cannot be read: %s: repair or remove them, or leave them out with --skip-broken",
			len(skipped), len(s.files), s.root, firstOf(skipped))
	}
	s.files, s.train, *looks = files, train, whole
	return skipped, s.checkClasses()
}

// checkClasses reports a class of which no training example is left.
func (s *scanned) checkClasses() error {
	left := make([]int, len(s.classes))
	for _, f := range s.files[:s.train] {
		left[f.class]++
	}
	if class := slices.Index(left, 0); class >= 0 {
		return fmt.Errorf("%s: no training image of class %s can be read: repair them, or remove the class", s.root, s.classes[class])
	}
	return nil
}

// oneKind returns the kind that all images have.
func (s *scanned) oneKind(looks []look) (kind, error) {
	count := map[kind]int{}
	var order []kind // by the first image of each
	first := map[kind][]string{}
	for i, l := range looks {
		if count[l.kind] == 0 {
			order = append(order, l.kind)
		}
		count[l.kind]++
		first[l.kind] = append(first[l.kind], s.files[i].path)
	}
	if len(order) == 1 {
		return order[0], nil
	}
	slices.SortStableFunc(order, func(a, b kind) int { return count[b] - count[a] })
	var kinds []string
	for _, k := range order {
		kinds = append(kinds, fmt.Sprintf("%d are %v (%s)", count[k], k, firstOf(first[k])))
	}
	const few = 6
	if len(kinds) > few {
		kinds = append(kinds[:few], fmt.Sprintf("%d more kinds", len(order)-few))
	}
	return kind{}, fmt.Errorf("the %d images in %s are of different kinds: %s: import them with --resize for one size, with --rgb to make grey ones RGB, or remove the odd ones",
		len(looks), s.root, strings.Join(kinds, "; "))
}
