package data

import (
	_ "embed"
	"sync"

	"convoy/rng"
)

//go:generate go run ./internal/glyphgen glyphs.bin
//go:generate go test -run TestDigitsManifest -update .

// The built-in set. Whoever changes what an example looks like raises the
// version, generates the manifest again and so changes DigitsManifest.
const (
	digitsVersion = 1
	digitsSeed    = 1998
	digitsTrain   = 60_000
	digitsTest    = 10_000
	digitsSide    = 28 // pixels
	digitsSize    = digitsSide * digitsSide
)

// DigitsManifest is the digest of the built-in set's manifest: a test draws
// every example and compares.
const DigitsManifest = "82c0ac9df6402e42b2d6c0ac3e95150cc4832ecd1e1f645fb4bfabed50faba85"

//go:embed digits.json
var digitsManifest []byte

// Digits returns the built-in set: 60,000 + 10,000 images of handwritten-looking
// digits, 28×28, white on black like MNIST's, each class about equally often.
// Example i of a split is a pure function of i: a glyph, chosen, bent and drawn
// at random (see drawDigit). Each is drawn when it is first asked for, in about
// 15 µs, and kept: one set serves the whole process.
func Digits() *Set { return digits() }

var digits = sync.OnceValue(func() *Set {
	m, err := ParseManifest(digitsManifest)
	if err != nil {
		panic(err) // part of the program
	}
	return &Set{Manifest: m, Train: newDrawn(0, m.Train), Test: newDrawn(1, m.Test)}
})

// drawn is a split of the built-in set, drawn on demand.
type drawn struct {
	split  uint64
	once   []sync.Once
	pixels []byte
	labels []uint8
}

func newDrawn(split uint64, n int) *drawn {
	return &drawn{split, make([]sync.Once, n), make([]byte, n*digitsSize), make([]uint8, n)}
}

func (d *drawn) Len() int { return len(d.labels) }

func (d *drawn) Example(i int, pixels []byte) int {
	kept := d.pixels[i*digitsSize : (i+1)*digitsSize]
	d.once[i].Do(func() {
		stream := rng.At(digitsSeed, rng.Digits, uint64(i), d.split)
		d.labels[i] = drawDigit(&stream, kept)
	})
	copy(pixels[:digitsSize], kept)
	return int(d.labels[i])
}
