package data

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// CIFAR-10 and CIFAR-100's binary version (Krizhevsky, "Learning multiple layers
// of features from tiny images", 2009, and its page): records of one or two
// bytes of labels (coarse, then fine) and an image of 3 × 32 × 32 bytes, red,
// green and blue plane, each row by row.
const (
	cifarSide  = 32 // pixels
	cifarImage = 3 * cifarSide * cifarSide
	// maxCIFARBytes is far above the 154 MB of CIFAR-100's training file.
	maxCIFARBytes = 1 << 30
)

var cifar10Classes = strings.Fields("airplane automobile bird cat deer dog frog horse ship truck")

var cifar100Fine = strings.Fields(`apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge
	bus butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
	dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
	lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
	pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper
	snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout
	tulip turtle wardrobe whale willow_tree wolf woman worm`)

var cifar100Coarse = strings.Fields(`aquatic_mammals fish flowers food_containers fruit_and_vegetables
	household_electrical_devices household_furniture insects large_carnivores large_man-made_outdoor_things
	large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles
	small_mammals trees vehicles_1 vehicles_2`)

// cifarForm is how the records of a set look: how many classes each byte of
// labels has, and which of those bytes is the label.
type cifarForm struct {
	limits []int
	label  int
}

func (f cifarForm) record() int { return len(f.limits) + cifarImage }

func readCIFAR10(dir string) (source, error) {
	f := cifarForm{limits: []int{10}}
	return f.set(dir, cifar10Classes, []string{
		"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
	}, "test_batch.bin")
}

func readCIFAR100(dir string, coarse bool) (source, error) {
	f, names := cifarForm{limits: []int{20, 100}, label: 1}, cifar100Fine
	if coarse {
		f.label, names = 0, cifar100Coarse
	}
	return f.set(dir, names, []string{"train.bin"}, "test.bin")
}

func (f cifarForm) set(dir string, classes, train []string, test string) (source, error) {
	s := source{about: Manifest{Classes: len(classes), ClassNames: classes, Channels: 3, Height: cifarSide, Width: cifarSide}}
	var trained []byte
	for _, name := range train {
		b, err := f.file(filepath.Join(dir, name))
		if err != nil {
			return source{}, err
		}
		trained = append(trained, b...)
	}
	tested, err := f.file(filepath.Join(dir, test))
	s.train, s.test = cifarRecords{f, trained}, cifarRecords{f, tested}
	return s, err
}

// file reads a file of records and checks their labels.
func (f cifarForm) file(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: put all files of CIFAR's binary version into one folder", path)
	}
	if err != nil {
		return nil, err
	}
	b, err := f.parse(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

func (f cifarForm) parse(r io.Reader) ([]byte, error) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(io.LimitReader(r, maxCIFARBytes+1)); err != nil {
		return nil, err
	}
	b, size := body.Bytes(), f.record()
	switch {
	case bytes.HasPrefix(b, []byte("\x1f\x8b")):
		return nil, errors.New("is packed: unpack it with gunzip")
	case len(b) == 0 || len(b)%size != 0 || len(b) > maxCIFARBytes:
		return nil, fmt.Errorf("has %d bytes, want records of %d: it is truncated or of another set, fetch it again", len(b), size)
	}
	for i := range len(b) / size {
		for k, limit := range f.limits {
			if label := int(b[i*size+k]); label >= limit {
				return nil, fmt.Errorf("label %d of record %d is %d, want 0 to %d: the file is damaged or of another set, fetch it again", k, i, label, limit-1)
			}
		}
	}
	return b, nil
}

// cifarRecords are examples in memory, in their files' form.
type cifarRecords struct {
	cifarForm
	b []byte
}

func (r cifarRecords) Len() int { return len(r.b) / r.record() }

func (r cifarRecords) read(i int, pixels []byte) (int, error) {
	record := r.b[i*r.record() : (i+1)*r.record()]
	copy(pixels, record[len(r.limits):])
	return int(record[r.label]), nil
}
