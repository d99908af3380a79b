package data

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"os"
	"runtime"
	"sync"
	"testing"

	"convoy/fmath"
	"convoy/rng"
)

var update = flag.Bool("update", false, "write digits.json")

// TestDigitsManifest draws all examples and compares them with the manifest that
// recipes name.
func TestDigitsManifest(t *testing.T) {
	train, test := Digits().Train.(*drawn), Digits().Test.(*drawn)
	drawAll(train)
	drawAll(test)
	about := Manifest{Name: "digits", Generator: digitsVersion, Classes: 10, Channels: 1, Height: digitsSide, Width: digitsSide}
	set, err := Import(about, train, test)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("digits.json", set.Manifest.Canonical(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if Digits().Manifest.Digest() != set.Manifest.Digest() {
		t.Error("digits.json is not what the examples make")
	}
	if got := set.Manifest.Digest().String(); got != DigitsManifest {
		t.Errorf("manifest's digest %s, DigitsManifest is %s", got, DigitsManifest)
	}
	var counts [10]int
	for _, label := range train.labels {
		counts[label]++
	}
	for digit, n := range counts {
		if n < digitsTrain/10*95/100 || n > digitsTrain/10*105/100 {
			t.Errorf("%d of %d examples show a %d", n, digitsTrain, digit)
		}
	}
}

// drawAll draws every example of a split, on all cores.
func drawAll(d *drawn) {
	var wg sync.WaitGroup
	parts := runtime.GOMAXPROCS(0)
	for p := range parts {
		wg.Go(func() {
			pixels := make([]byte, digitsSize)
			for i := p * d.Len() / parts; i < (p+1)*d.Len()/parts; i++ {
				d.Example(i, pixels)
			}
		})
	}
	wg.Wait()
}

// TestDigitsGolden pins a few examples, fewer than TestDigitsManifest, so that
// another kind of processor can be tried under emulation.
func TestDigitsGolden(t *testing.T) {
	h := sha256.New()
	pixels := make([]byte, digitsSize)
	for i := range 200 {
		for _, split := range []Split{Digits().Train, Digits().Test} {
			label := split.Example(i*7, pixels)
			h.Write(append(pixels, byte(label)))
		}
	}
	const want = "5ae67a170c707fead77ded860ea6eee5cad6bf54e32a9aa7e01d2a308b3d93ac"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("examples' digest %s, want %s", got, want)
	}
}

// TestDigitsConcurrently reads the same examples from several goroutines, of
// which one draws each.
func TestDigitsConcurrently(t *testing.T) {
	split := newDrawn(1, 64)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			got, want := make([]byte, digitsSize), make([]byte, digitsSize)
			for i := range split.Len() {
				label := split.Example(i, got)
				if Digits().Test.Example(i, want) != label || string(got) != string(want) {
					t.Errorf("example %d differs", i)
				}
			}
		})
	}
	wg.Wait()
}

// TestDigitsAreNoLinearTask trains a linear classifier: softmax regression by
// stochastic gradient descent with momentum and a step that falls to nothing
// (more epochs gain less than half a percent). A set on which it did well would
// be no test of a convolutional network.
func TestDigitsAreNoLinearTask(t *testing.T) {
	const (
		batch    = 50
		momentum = 0.9
	)
	train := Digits().Train.(*drawn)
	var c linear
	order := rng.NewPermutation(1, 0, train.Len())
	for first := 0; first < train.Len(); first += batch {
		rate := 0.1 * (1 - float32(first)/digitsTrain)
		for i := range c.gradient {
			c.gradient[i] *= momentum
		}
		for p := first; p < first+batch; p++ {
			c.learn(train, order.At(p))
		}
		for i := range c.weights {
			c.weights[i] -= rate / batch * c.gradient[i]
		}
	}
	right := 0
	test := Digits().Test.(*drawn)
	for i := range test.Len() {
		if c.classify(test, i) == test.labels[i] {
			right++
		}
	}
	accuracy := float64(right) / float64(test.Len())
	t.Logf("a linear classifier gets %.2f %% of the test examples right", 100*accuracy)
	if accuracy < 0.80 || accuracy > 0.92 {
		t.Errorf("a linear classifier gets %.2f %% of the test examples right, want 80 to 92", 100*accuracy)
	}
}

// linear is a linear classifier: 10 weights a pixel, and 10 for the constant 1.
type linear struct {
	weights, gradient [10 * (digitsSize + 1)]float32
	image             [digitsSize + 1]float32
	scores            [10]float32
}

func (c *linear) classify(d *drawn, i int) (best uint8) {
	var pixels [digitsSize]byte
	d.Example(i, pixels[:])
	for p, v := range pixels {
		c.image[p] = float32(v) / 255
	}
	c.image[digitsSize] = 1
	c.scores = [10]float32{}
	for p, v := range &c.image {
		w := (*[10]float32)(c.weights[10*p:])
		for k := range w {
			c.scores[k] += v * w[k]
		}
	}
	for k, score := range c.scores {
		if score > c.scores[best] {
			best = uint8(k)
		}
	}
	return best
}

// learn adds the gradient of example i's cross-entropy.
func (c *linear) learn(d *drawn, i int) {
	top := c.scores[c.classify(d, i)]
	top = max(top, c.scores[0])
	sum := float32(0)
	for k := range c.scores {
		c.scores[k] = fmath.Exp32(c.scores[k] - top)
		sum += c.scores[k]
	}
	for k := range c.scores {
		c.scores[k] /= sum
	}
	c.scores[d.labels[i]]--
	for p, v := range &c.image {
		g := (*[10]float32)(c.gradient[10*p:])
		for k := range g {
			g[k] += v * c.scores[k]
		}
	}
}

func BenchmarkDrawDigit(b *testing.B) {
	pixels := make([]byte, digitsSize)
	for i := 0; b.Loop(); i++ {
		stream := rng.At(digitsSeed, rng.Digits, uint64(i), 0)
		drawDigit(&stream, pixels)
	}
}
