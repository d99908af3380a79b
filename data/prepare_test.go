package data

import (
	"math"
	"slices"
	"strings"
	"testing"

	"convoy/digest"
	"convoy/floats"
	"convoy/internal/allocs"
	"convoy/job"
	"convoy/rng"
)

// photographs are noisy colour images, different for each index.
type photographs struct{ height, width int }

func (photographs) Len() int { return 50 }

func (p photographs) Example(i int, pixels []byte) int {
	s := rng.At(9, rng.Digits, 0, uint64(i))
	for k := range pixels {
		pixels[k] = byte(i*5 + k%p.width + int(s.Uint32()%64))
	}
	return i % 7
}

func (p photographs) manifest() Manifest {
	m := Manifest{Name: "photographs", Train: p.Len(), Test: 1, Classes: 7, Channels: 3, Height: p.height, Width: p.width, PixelSums: make([]PixelSums, 3)}
	pixels := make([]byte, m.ImageBytes())
	for i := range p.Len() {
		p.Example(i, pixels)
		addPixels(m.PixelSums, pixels, p.height*p.width)
	}
	return m
}

func prepared(t testing.TB, m Manifest, in job.Input, a job.Augment) *Preparation {
	t.Helper()
	p, err := NewPreparation(m, in, a, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var byUnit = job.Input{Normalize: job.NormalizeUnit}

// TestPreparePlain: without any wish an image is its bytes, divided by 255.
func TestPreparePlain(t *testing.T) {
	split := counted{256, 5}
	p := prepared(t, Manifest{Channels: 1, Height: 1, Width: 5}, byUnit, job.Augment{})
	indices := []int{255, 0, 17, 3, 3}
	images, labels := make([]float32, 5*5), make([]int32, 5)
	for _, fill := range []func(){
		func() { p.Evaluate(split, indices, images, labels) },
		func() { p.Train(split, 2, indices, images, labels) },
	} {
		clear(images)
		fill()
		for k, i := range indices {
			if labels[k] != int32(i%7) {
				t.Errorf("label %d is %d, want %d", k, labels[k], i%7)
			}
			for at := range 5 {
				if got, want := images[5*k+at], float32(i)/255; math.Float32bits(got) != math.Float32bits(want) {
					t.Errorf("image %d, pixel %d is %v, want %v", k, at, got, want)
				}
			}
		}
	}
	p.Evaluate(split, nil, nil, nil)
}

// TestPrepareNormalises: by hand, with resizing and a border around it.
func TestPrepareNormalises(t *testing.T) {
	m := Manifest{Name: "two", Train: 1, Channels: 2, Height: 1, Width: 2, PixelSums: []PixelSums{{255, 255 * 255}, {100, 5200}}}
	pixels := []byte{0, 255, 40, 60}
	for name, c := range map[string]struct {
		in   job.Input
		want []float32
	}{
		"unit":    {byUnit, []float32{0, 1, 40. / 255, 60. / 255}},
		"dataset": {job.Input{Normalize: job.NormalizeSet}, []float32{-1, 1, -1, 1}},
		"range":   {job.Input{Normalize: job.NormalizeRange, Low: -0.1, High: 1.175}, []float32{-0.1, 1.175, 0.1, 0.2}},
		"border": {job.Input{Normalize: job.NormalizeRange, Low: 2, High: 1, Pad: 1}, []float32{
			2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2,
			2, 2, 2, 2, 2, 2 - 40./255, 2 - 60./255, 2, 2, 2, 2, 2,
		}},
		"resized": {job.Input{Normalize: job.NormalizeUnit, Height: 1, Width: 4}, []float32{0, 64. / 255, 191. / 255, 1, 40. / 255, 45. / 255, 55. / 255, 60. / 255}},
	} {
		p := prepared(t, m, c.in, job.Augment{})
		got := make([]float32, p.Len())
		p.Image(pixels, got)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
			continue
		}
		for i, v := range got {
			if math.Abs(float64(v-c.want[i])) > 1e-6 {
				t.Errorf("%s: %v, want %v", name, got, c.want)
				break
			}
		}
	}
}

func TestPrepareRefusesFlatChannels(t *testing.T) {
	m := Manifest{Name: "flat", Train: 3, Channels: 1, Height: 1, Width: 1, PixelSums: []PixelSums{{21, 147}}}
	_, err := NewPreparation(m, job.Input{Normalize: job.NormalizeSet}, job.Augment{}, 1)
	if want := "data set flat: channel 0 has one value in all training examples and cannot be normalised by its deviation: set input.normalize to unit"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// everything is an input and changes with all keys in use.
var (
	everything = job.Input{Height: 40, Width: 48, Pad: 1, Normalize: job.NormalizeSet}
	allChanges = job.Augment{Flip: true, Crop: 4, Brightness: 0.4, Contrast: 0.4, Saturation: 0.4}
)

// TestPrepareGolden pins the bits of a batch with everything on: the same on
// every machine.
func TestPrepareGolden(t *testing.T) {
	split := photographs{30, 32}
	var b []byte
	for _, a := range []job.Augment{allChanges, {Shift: 3, Contrast: 1}} {
		p := prepared(t, split.manifest(), everything, a)
		indices := []int{3, 49, 0, 17, 20, 21, 22}
		images, labels := make([]float32, len(indices)*p.Len()), make([]int32, len(indices))
		for epoch := range 3 {
			p.Train(split, epoch, indices, images, labels)
			b = append(b, floats.Bytes(images)...)
		}
		p.Evaluate(split, indices, images, labels)
		b = append(b, floats.Bytes(images)...)
	}
	const golden = "c2b656f52a02d2303179e3f9894a38efaaf11244a8c7dff0c08468c7bcbe4dda"
	if got := digest.Of(b).String(); got != golden {
		t.Errorf("digest %s, want %s", got, golden)
	}
}

// TestPrepareByIndex: an example is the same whatever others are prepared with
// it, and another one in the next epoch.
func TestPrepareByIndex(t *testing.T) {
	split := photographs{30, 32}
	p := prepared(t, split.manifest(), everything, allChanges)
	of := func(epoch int, indices ...int) [][]float32 {
		images, labels := make([]float32, len(indices)*p.Len()), make([]int32, len(indices))
		p.Train(split, epoch, indices, images, labels)
		return slices.Collect(slices.Chunk(images, p.Len()))
	}
	together := of(1, 5, 6, 7, 5)
	for k, i := range []int{5, 6, 7, 5} {
		if alone := of(1, i); !slices.Equal(alone[0], together[k]) {
			t.Errorf("example %d depends on its neighbours", i)
		}
	}
	if slices.Equal(of(2, 5)[0], together[0]) {
		t.Error("epochs 1 and 2 see the same image")
	}
}

// TestChange: the pixels of an example, changed, are what training normalises.
func TestChange(t *testing.T) {
	split := photographs{30, 32}
	p := prepared(t, split.manifest(), byUnit, allChanges)
	pixels, want, label := make([]byte, 3*30*32), make([]float32, p.Len()), make([]int32, 1)
	split.Example(5, pixels)
	p.Change(2, 5, pixels)
	p.Train(split, 2, []int{5}, want, label)
	for i, v := range pixels {
		if float32(v)/255 != want[i] {
			t.Fatalf("pixel %d is %d, training has %v", i, v, want[i]*255)
		}
	}
}

func TestPrepareAllocatesNothing(t *testing.T) {
	var split Split = kept(noise(3 * 30 * 32))
	p := prepared(t, photographs{30, 32}.manifest(), everything, allChanges)
	indices := []int{1, 2, 3}
	images, labels := make([]float32, 3*p.Len()), make([]int32, 3)
	if n := allocs.Steady(func() { p.Train(split, 1, indices, images, labels) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPrepareChecksLengths(t *testing.T) {
	p := prepared(t, Manifest{Channels: 1, Height: 1, Width: 5}, byUnit, job.Augment{})
	defer func() {
		if v, _ := recover().(string); !strings.Contains(v, "want 5 floats each") {
			t.Errorf("panic %q", v)
		}
	}()
	p.Evaluate(counted{3, 5}, []int{0}, make([]float32, 4), make([]int32, 1))
}

// BenchmarkPrepare is the cost of one example: what training at book size, and
// on CIFAR, adds to a step for each.
func BenchmarkPrepare(b *testing.B) {
	grey := Manifest{Channels: 1, Height: 28, Width: 28}
	colour := photographs{32, 32}.manifest()
	for _, c := range []struct {
		name string
		m    Manifest
		in   job.Input
		a    job.Augment
	}{
		{"28 grey", grey, byUnit, job.Augment{}},
		{"28 grey to 224", grey, job.Input{Height: 224, Width: 224, Normalize: job.NormalizeUnit}, job.Augment{}},
		{"32 RGB, flip, crop, dataset", colour, job.Input{Normalize: job.NormalizeSet}, job.Augment{Flip: true, Crop: 4}},
		{"32 RGB, colours", colour, byUnit, job.Augment{Brightness: 0.2, Contrast: 0.2, Saturation: 0.2}},
		{"32 RGB, all, to 224", colour, job.Input{Height: 224, Width: 224, Normalize: job.NormalizeSet}, allChanges},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := prepared(b, c.m, c.in, c.a)
			var split Split = kept(noise(c.m.ImageBytes()))
			images, labels := make([]float32, p.Len()), make([]int32, 1)
			indices := make([]int, 1)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				indices[0] = i
				p.Train(split, 1, indices, images, labels)
			}
		})
	}
}

// kept is the same image at every index.
type kept []byte

func (kept) Len() int { return math.MaxInt }

func (k kept) Example(_ int, pixels []byte) int {
	copy(pixels, k)
	return 0
}
