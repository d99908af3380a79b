package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The IDX format is described on the MNIST page (LeCun, Cortes and Burges,
// 1998): two zero bytes, the element type (8 for uint8), the number of
// dimensions, each dimension as a big-endian uint32, then the elements.
const (
	idxLabels = 0x00000801 // uint8, one dimension
	idxImages = 0x00000803 // uint8, three dimensions: image, row, column
)

// Limits on what an IDX header may claim.
const (
	maxIDXExamples = 1 << 24
	maxIDXSide     = 1 << 11 // pixels
	maxIDXBytes    = 4 << 30
)

var idxClassNames = map[string][]string{
	"fashion-mnist": {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"},
}

// readIDXSet reads a set of MNIST's form: four IDX files in dir, gzipped or not.
func readIDXSet(name, dir string) (source, error) {
	train, height, width, err := readIDXSplit(dir, "train")
	if err != nil {
		return source{}, err
	}
	test, testHeight, testWidth, err := readIDXSplit(dir, "t10k")
	if err != nil {
		return source{}, err
	}
	if height != testHeight || width != testWidth {
		return source{}, fmt.Errorf("training images in %s are %d×%d, test images %d×%d: take all four files from one set",
			dir, height, width, testHeight, testWidth)
	}
	about := Manifest{Classes: idxClasses, ClassNames: idxClassNames[name], Channels: 1, Height: height, Width: width}
	return source{about: about, train: train, test: test}, nil
}

// idxClasses is the number of classes of every set that is read from IDX files.
const idxClasses = 10

// gray is a split of grey images in memory.
type gray struct {
	size           int
	pixels, labels []byte
}

func (g gray) Len() int { return len(g.labels) }

func (g gray) read(i int, pixels []byte) (int, error) {
	copy(pixels, g.pixels[i*g.size:(i+1)*g.size])
	return int(g.labels[i]), nil
}

// readIDXSplit reads the images and labels whose file names begin with prefix.
func readIDXSplit(dir, prefix string) (split gray, height, width int, err error) {
	imagesFile, dims, pixels, err := readIDXFile(dir, prefix+"-images", idxImages)
	if err != nil {
		return gray{}, 0, 0, err
	}
	labelsFile, _, labels, err := readIDXFile(dir, prefix+"-labels", idxLabels)
	if err != nil {
		return gray{}, 0, 0, err
	}
	if dims[0] != len(labels) {
		return gray{}, 0, 0, fmt.Errorf("%s has %d images, %s has %d labels: take both files from one set",
			imagesFile, dims[0], labelsFile, len(labels))
	}
	for i, label := range labels {
		if label >= idxClasses {
			return gray{}, 0, 0, fmt.Errorf("%s: label %d is %d, want 0 to %d: the file is damaged or of another set, fetch it again",
				labelsFile, i, label, idxClasses-1)
		}
	}
	return gray{size: dims[1] * dims[2], pixels: pixels, labels: labels}, dims[1], dims[2], nil
}

// readIDXFile finds the file of stem ("train-images") in one of its spellings
// and reads it. It returns the file's path, its dimensions and its elements.
func readIDXFile(dir, stem string, magic uint32) (path string, dims []int, elements []byte, err error) {
	kind := "-idx1-ubyte"
	if magic == idxImages {
		kind = "-idx3-ubyte"
	}
	var names []string
	for _, name := range []string{stem + kind, stem + "." + kind[1:]} {
		names = append(names, name, name+".gz")
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, nil, fmt.Errorf("%w: check the file's permissions", err)
		}
		dims, elements, err := readIDX(file, strings.HasSuffix(name, ".gz"), magic)
		if closeErr := file.Close(); err == nil && closeErr != nil {
			err = closeErr
		}
		if err != nil {
			return "", nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		return path, dims, elements, nil
	}
	return "", nil, nil, fmt.Errorf("%s has no %s: put it there, as %s", dir, names[0], strings.Join(names[1:], " or "))
}

// readIDX reads an IDX file with the given magic number from r. It never
// allocates much more than r really holds, whatever the header claims.
func readIDX(r io.Reader, gzipped bool, magic uint32) (dims []int, elements []byte, err error) {
	r = bufio.NewReaderSize(r, 1<<16)
	if gzipped {
		if r, err = gzip.NewReader(r); err != nil {
			return nil, nil, idxReadError(err)
		}
	}
	header := make([]byte, 4+4*int(magic&0xff))
	if n, err := io.ReadFull(r, header); err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, nil, fmt.Errorf("truncated: the header has %d of %d bytes, fetch the file again", n, len(header))
	} else if err != nil {
		return nil, nil, idxReadError(err)
	}
	if got := binary.BigEndian.Uint32(header); got != magic {
		hint := "is it the right file, and is it unpacked?"
		switch {
		case got == idxImages:
			hint = "this is a file of images, labels belong here"
		case got == idxLabels:
			hint = "this is a file of labels, images belong here"
		case got>>16 == 0x1f8b:
			hint = "it is gzipped, give its name the ending .gz"
		}
		return nil, nil, fmt.Errorf("begins with %#08x instead of IDX's %#08x: %s", got, magic, hint)
	}
	dims, want, err := idxDims(header[4:])
	if err != nil {
		return nil, nil, err
	}
	var body bytes.Buffer
	body.Grow(min(want, 64<<20) + bytes.MinRead)
	if _, err := body.ReadFrom(io.LimitReader(r, int64(want)+1)); err != nil {
		return nil, nil, idxReadError(err)
	}
	switch {
	case body.Len() < want:
		return nil, nil, fmt.Errorf("truncated: %d of %d bytes follow the header, fetch the file again", body.Len(), want)
	case body.Len() > want:
		return nil, nil, fmt.Errorf("bytes follow the %d that its header announces: the file is damaged, fetch it again", want)
	}
	return dims, body.Bytes(), nil
}

// idxReadError explains an error of the file or of gzip.
func idxReadError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("truncated: the gzip stream ends early, fetch the file again")
	}
	return fmt.Errorf("%w: fetch the file again", err)
}

// idxDims reads the dimensions of a header and their product.
func idxDims(header []byte) (dims []int, product int, err error) {
	product = 1
	for at := 0; at < len(header); at += 4 {
		d, limit := binary.BigEndian.Uint32(header[at:]), uint32(maxIDXSide)
		if at == 0 {
			limit = maxIDXExamples
		}
		switch {
		case d == 0 && at == 0:
			return nil, 0, errors.New("holds no examples: fetch the file again")
		case d == 0 || d > limit:
			return nil, 0, fmt.Errorf("dimension %d of its header is %d, want 1 to %d: the file is damaged, fetch it again", at/4, d, limit)
		}
		dims = append(dims, int(d))
		product *= int(d) // at most 2^46
	}
	if product > maxIDXBytes {
		return nil, 0, fmt.Errorf("its header announces %d bytes, at most %d are read: use a smaller set", product, int64(maxIDXBytes))
	}
	return dims, product, nil
}
