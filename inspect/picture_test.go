package inspect

import (
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"convoy/data"
)

// save writes a picture of the size w×h whose pixels f gives.
func save(t *testing.T, name string, w, h int, f func(x, y int) color.Color) string {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, f(x, y))
		}
	}
	path := filepath.Join(t.TempDir(), name)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".jpg") {
		err = jpeg.Encode(file, img, &jpeg.Options{Quality: 100})
	} else {
		err = png.Encode(file, img)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPictureIsTheExample: a digit of the set, saved as a file, is the very input
// that training sees.
func TestPictureIsTheExample(t *testing.T) {
	set := data.Digits()
	tr := mustOpen(t, write(t, "lenet-relu", set.Manifest))
	pixels := make([]byte, 28*28)
	set.Test.Example(4, pixels)
	path := save(t, "four.png", 28, 28, func(x, y int) color.Color { return color.Gray{pixels[28*y+x]} })
	want := batchOf(t, tr, set, 5).Images[4*28*28:]
	for _, invert := range []bool{false, true} {
		p, err := tr.Picture(path, invert)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.values(), want) || p.Light != invert || p.Height != 28 || fmt.Sprint(p.Input.Shape()) != "(1, 28, 28)" {
			t.Errorf("invert %v: the picture is not the example: %+v", invert, p)
		}
		for i := range want {
			want[i] = float32(255-pixels[i]) / 255
		}
	}
	if !tr.TrainedOnDark() {
		t.Error("digits are light on a dark ground")
	}
}

// TestInputOfTheRecipe: pictures and examples are resized, bordered and normalised
// as the recipe says, and never changed at random.
func TestInputOfTheRecipe(t *testing.T) {
	set := colourful(t)
	tr := mustOpen(t, write(t, "lenet-relu", set.Manifest, "input.resize=20x24", "input.pad=2", "input.normalize=dataset", "augment.flip=true", "augment.crop=3"))
	file := save(t, "a.png", 50, 40, func(x, y int) color.Color { return color.NRGBA{uint8(5 * x), uint8(6 * y), 7, 255} })
	for _, ask := range []func() error{
		func() error { _, err := tr.Picture(file, false); return err },
		func() error { _, err := tr.Evaluate(t.Context(), pool(t, 1), set.Manifest, set.Test); return err },
	} {
		if err := ask(); err == nil || !strings.Contains(err.Error(), "normalised by the mean and deviation of data set colours") || !strings.Contains(err.Error(), "name it with --data") {
			t.Errorf("without the set: %v", err)
		}
	}
	if err := tr.Meet(set.Manifest); err != nil {
		t.Fatal(err)
	}
	b := batchOf(t, tr, set, 20)
	want := tr.Net.NewPass(pool(t, 1)).Evaluate(tr.Params, b)
	if e, err := tr.Evaluate(t.Context(), pool(t, 2), set.Manifest, set.Test); err != nil || e.LossSum != want.Loss || e.Correct != want.Correct {
		t.Errorf("%+v, %v; training has %+v", e, err, want)
	}
	pixels := make([]byte, 3*32*32)
	set.Test.Example(3, pixels)
	example := save(t, "b.png", 32, 32, func(x, y int) color.Color {
		return color.NRGBA{pixels[32*y+x], pixels[1024+32*y+x], pixels[2048+32*y+x], 255}
	})
	p, err := tr.Picture(example, false)
	if err != nil || fmt.Sprint(p.Input.Shape()) != "(3, 24, 28)" {
		t.Fatalf("%v of shape %v", err, p.Input.Shape())
	}
	if size := 3 * 24 * 28; !slices.Equal(p.values(), b.Images[3*size:4*size]) {
		t.Error("an example's picture is not what the network is trained on")
	}
}

// TestPictureModes: grey of colours by BT.601, colours of grey three times.
func TestPictureModes(t *testing.T) {
	grey := mustOpen(t, write(t, "lenet-relu", data.Digits().Manifest))
	rgb := mustOpen(t, write(t, "lenet-relu", colourful(t).Manifest))
	colour := color.NRGBA{200, 100, 50, 255}
	coloured := save(t, "coloured.png", 28, 28, func(int, int) color.Color { return colour })
	p, err := grey.Picture(coloured, false)
	if want := float32(124) / 255; err != nil || p.values()[0] != want || p.values()[783] != want {
		t.Errorf("a colour as grey is %v, %v; want %v", p.values()[0]*255, err, want*255)
	}
	p, err = rgb.Picture(coloured, false) // 28×28 grows to 32×32
	if err != nil {
		t.Fatal(err)
	}
	for channel, want := range []float32{200, 100, 50} {
		if got := p.values()[channel*32*32+17]; got != want/255 {
			t.Errorf("channel %d is %v, want %v", channel, got*255, want)
		}
	}
	p, err = rgb.Picture(save(t, "grey.jpg", 64, 48, func(int, int) color.Color { return color.Gray{99} }), false)
	if err != nil {
		t.Fatal(err)
	}
	if v := p.values(); p.Height != 48 || p.Width != 64 || slices.Min(v) != float32(99)/255 || slices.Max(v) != float32(99)/255 {
		t.Errorf("a grey picture has values from %v to %v", slices.Min(v)*255, slices.Max(v)*255)
	}
}

func TestPictureRefuses(t *testing.T) {
	tr := mustOpen(t, write(t, "lenet-relu", data.Digits().Manifest))
	broken := filepath.Join(t.TempDir(), "broken.png")
	whole, err := os.ReadFile(save(t, "whole.png", 28, 28, func(x, y int) color.Color { return color.Gray{uint8(x * y)} }))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text.png")
	if err := os.WriteFile(text, []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"nowhere.png": "picture nowhere.png: no such file",
		broken:        "name a PNG or JPEG file that is whole",
		text:          "neither PNG nor JPEG: name a PNG or JPEG",
		t.TempDir():   "no file of at most 268435456 bytes",
		save(t, "clear.png", 28, 28, func(int, int) color.Color { return color.NRGBA{9, 9, 9, 200} }): "has transparent pixels",
		save(t, "long.png", 1, 1<<14+1, func(int, int) color.Color { return color.Gray{1} }):          "16385×1 pixels: want sides of 1 to 16384",
	} {
		if _, err := tr.Picture(path, false); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "picture "+path) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestPredict(t *testing.T) {
	set := colourful(t)
	tr := mustOpen(t, write(t, "lenet-relu", set.Manifest))
	if err := tr.Meet(set.Manifest); err != nil {
		t.Fatal(err)
	}
	a, err := tr.Picture(save(t, "a.png", 32, 32, func(x, y int) color.Color { return color.NRGBA{uint8(8 * x), uint8(8 * y), 100, 255} }), false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tr.Picture(save(t, "b.png", 32, 32, func(int, int) color.Color { return color.White }), false)
	if err != nil {
		t.Fatal(err)
	}
	all := tr.Predict(pool(t, 2), []*Picture{a, b}, 10)
	for i, p := range []*Picture{a, b} {
		logits, err := tr.Features(pool(t, 1), p, "11")
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for k, c := range all[i] {
			sum += c.Probability
			if k > 0 && c.Probability > all[i][k-1].Probability {
				t.Errorf("picture %d: %v after %v", i, c, all[i][k-1])
			}
			if c.Name != set.Manifest.ClassNames[c.Class] {
				t.Errorf("picture %d: class %d is named %q", i, c.Class, c.Name)
			}
			// Probabilities stand to each other as the exponentials of the logits.
			v := logits.Data().([]float32)
			want := math.Exp(float64(v[c.Class] - v[all[i][0].Class]))
			if got := c.Probability / all[i][0].Probability; math.Abs(got-want) > 1e-5 {
				t.Errorf("picture %d, class %d: %v of the first's probability, want %v", i, c.Class, got, want)
			}
		}
		if math.Abs(sum-1) > 1e-12 || len(all[i]) != 10 {
			t.Errorf("picture %d: %d classes, probabilities of %v together", i, len(all[i]), sum)
		}
	}
	if two := tr.Predict(pool(t, 1), []*Picture{b}, 2); !slices.Equal(two[0], all[1][:2]) {
		t.Errorf("alone the picture gives %v, with another %v", two[0], all[1])
	}
}
