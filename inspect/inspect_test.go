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

	"convoy/checkpoint"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
	"convoy/kernels"
	"convoy/models"
	"convoy/nn"
)

// write writes state 0 of a job as a checkpoint, and returns its path.
func write(t *testing.T, model string, m data.Manifest, overrides ...string) string {
	t.Helper()
	f := job.Default()
	f.Model = model
	for _, o := range overrides {
		if err := f.Set(o); err != nil {
			t.Fatal(err)
		}
	}
	r := f.Recipe(m.ForRecipe())
	s, err := models.Initial(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if _, err := checkpoint.Write(path, s, checkpoint.Meta{Recipe: r, Chain: digest.Of(nil), Digest: s.Digest()}); err != nil {
		t.Fatal(err)
	}
	return path
}

// colours is a split of n images of 3×32×32 in ten classes, made up.
type colours int

func (c colours) Len() int { return int(c) }

func (c colours) Example(i int, pixels []byte) int {
	for k := range pixels {
		pixels[k] = byte(7*i + k*(i%10+1))
	}
	return i % 10
}

// colourful is a set of them whose classes have names.
func colourful(t *testing.T) *data.Set {
	t.Helper()
	names := make([]string, 10)
	for i := range names {
		names[i] = fmt.Sprintf("colour %c", 'a'+i)
	}
	set, err := data.Import(data.Manifest{Name: "colours", Classes: 10, ClassNames: names, Channels: 3, Height: 32, Width: 32}, colours(40), colours(20))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func mustOpen(t *testing.T, path string) *Trained {
	t.Helper()
	tr, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func pool(t *testing.T, threads int) *kernels.Pool {
	p := kernels.NewPool(threads)
	t.Cleanup(p.Close)
	return p
}

// batchOf is the first n test examples as a worker prepares them.
func batchOf(t *testing.T, tr *Trained, set *data.Set, n int) nn.Batch {
	t.Helper()
	in, err := models.InputOf(tr.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	p, err := data.NewPreparation(set.Manifest, in, tr.Recipe.Augment, tr.Recipe.Seed)
	if err != nil {
		t.Fatal(err)
	}
	indices := make([]int, n)
	for i := range indices {
		indices[i] = i
	}
	b := nn.Batch{Images: make([]float32, n*p.Len()), Labels: make([]int32, n), Cuts: cuts(n, tr.Recipe.MicroBatches)}
	p.Evaluate(set.Test, indices, b.Images, b.Labels)
	return b
}

// first is the beginning of another split.
type first struct {
	data.Split
	n int
}

func (f first) Len() int { return f.n }

// TestEvaluateIsTrainings: loss and counts have the bits of nn's evaluation of
// the same examples, whatever the number of goroutines.
func TestEvaluateIsTrainings(t *testing.T) {
	set := data.Digits()
	tr := mustOpen(t, write(t, "lenet-relu", set.Manifest))
	const n = 1100 // three blocks
	b := batchOf(t, tr, set, n)
	want := tr.Net.NewPass(pool(t, 1)).Evaluate(tr.Params, b)
	for _, threads := range []int{1, 3} {
		e, err := tr.Evaluate(t.Context(), pool(t, threads), set.Manifest, first{set.Test, n})
		if err != nil {
			t.Fatal(err)
		}
		if e.LossSum != want.Loss || e.Correct != want.Correct || e.Examples != n || e.Loss() != want.Loss/n {
			t.Errorf("%d goroutines: loss %v, %d correct of %d; training has %+v", threads, e.LossSum, e.Correct, e.Examples, want)
		}
		if e.Top5 != want.Top5 || e.Top5 < e.Correct || e.Top5 >= n {
			t.Errorf("%d among the five greatest, training has %d", e.Top5, want.Top5)
		}
		diagonal, total := 0, 0
		for i, row := range e.Confusion {
			diagonal += row[i]
			for _, count := range row {
				total += count
			}
		}
		if diagonal != e.Correct || total != n {
			t.Errorf("a matrix of %d examples, %d on its diagonal", total, diagonal)
		}
	}
}

// TestPenalties: where outputs are penalties the least one answers.
func TestPenalties(t *testing.T) {
	set, err := data.Import(data.Manifest{Name: "grey", Classes: 10, Channels: 1, Height: 32, Width: 32}, colours(40), colours(20))
	if err != nil {
		t.Fatal(err)
	}
	tr := mustOpen(t, write(t, "lenet5", set.Manifest))
	b := batchOf(t, tr, set, 20)
	want := tr.Net.NewPass(pool(t, 1)).Evaluate(tr.Params, b)
	e, err := tr.Evaluate(t.Context(), pool(t, 1), set.Manifest, set.Test)
	if err != nil || e.LossSum != want.Loss || e.Correct != want.Correct || e.Top5 != want.Top5 {
		t.Errorf("%+v, %v; training has %+v", e, err, want)
	}
	p, err := tr.Picture(save(t, "a.png", 32, 32, func(x, y int) color.Color { return color.Gray{uint8(8 * x)} }), false)
	if err != nil {
		t.Fatal(err)
	}
	penalties, err := tr.Features(pool(t, 1), p, "OUTPUT")
	if err != nil {
		t.Fatal(err)
	}
	v := penalties.Data().([]float32)
	if got, least := tr.Predict(pool(t, 1), []*Picture{p}, 1)[0][0].Class, slices.Index(v, slices.Min(v)); got != least {
		t.Errorf("class %d is predicted, the least penalty of %v is that of %d", got, v, least)
	}
}

func TestCount(t *testing.T) {
	e := Evaluation{Confusion: [][]int{make([]int, 7), make([]int, 7), make([]int, 7), make([]int, 7), make([]int, 7), make([]int, 7), make([]int, 7)}}
	for _, c := range []struct {
		scores []float32
		label  int
	}{
		{[]float32{1, 3, 3, 0, 0, 0, 0}, 1}, // the first of equals answers
		{[]float32{1, 3, 3, 0, 0, 0, 0}, 2},
		{[]float32{1, 3, 3, 2, 5, 0, 0}, 0}, // four are greater
		{[]float32{1, 3, 3, 2, 5, 2, 0}, 0}, // five are
	} {
		e.count(c.scores, c.label)
	}
	if e.Correct != 1 || e.Top5 != 3 || e.Confusion[1][1] != 1 || e.Confusion[2][1] != 1 || e.Confusion[0][4] != 2 {
		t.Errorf("%+v", e)
	}
	scores := e.Scores()
	if s := scores[1]; s != (ClassScore{Examples: 1, Predicted: 2, Correct: 1}) {
		t.Errorf("class 1 has %+v", s)
	}
	precision, ok := scores[1].Precision()
	recall, ok2 := scores[1].Recall()
	if precision != 0.5 || recall != 1 || !ok || !ok2 {
		t.Errorf("precision %v, recall %v", precision, recall)
	}
	if _, ok := scores[6].Recall(); ok {
		t.Error("a class without examples has a recall")
	}
}

func TestAccepts(t *testing.T) {
	tr := mustOpen(t, write(t, "lenet-relu", data.Digits().Manifest))
	_, err := tr.Evaluate(t.Context(), pool(t, 1), colourful(t).Manifest, colours(3))
	if err == nil || !strings.Contains(err.Error(), "data set colours has images of 3×32×32, the network was trained on 1×28×28") {
		t.Errorf("%v", err)
	}
	other := data.Digits().Manifest
	other.Classes = 26
	if err := tr.Accepts(other); err == nil || !strings.Contains(err.Error(), "26 classes, the network 10") {
		t.Errorf("%v", err)
	}
}

// TestSetOutsideOfItsRun: a checkpoint alone knows neither data nor names unless
// the set is built in, or the user names it.
func TestSetOutsideOfItsRun(t *testing.T) {
	set := colourful(t)
	tr := mustOpen(t, write(t, "lenet-relu", set.Manifest))
	if _, err := tr.Set(); err == nil || !strings.Contains(err.Error(), "data set colours is not in a run's folder") {
		t.Errorf("%v", err)
	}
	if names := tr.ClassNames(); names[3] != "3" {
		t.Errorf("class names %v", names)
	}
	if err := tr.Meet(set.Manifest); err != nil || tr.ClassNames()[3] != "colour d" {
		t.Errorf("class names %v, %v", tr.ClassNames(), err)
	}
	digits := mustOpen(t, write(t, "lenet-relu", data.Digits().Manifest))
	if s, err := digits.Set(); err != nil || s.Test.Len() != 10000 {
		t.Errorf("the built-in set: %v", err)
	}
}

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

func TestFeatureGrid(t *testing.T) {
	tr := mustOpen(t, write(t, "lenet-relu", data.Digits().Manifest))
	p, err := tr.Picture(save(t, "cross.png", 28, 28, func(x, y int) color.Color { return color.Gray{uint8(255 * ((x / 14) ^ (y / 14)))} }), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		layer, title, legend string
		tiles, side          int
	}{
		{"0", "layer 0: Conv 6, kernel 5×5, padding 2", "in each map black is its least value and white its greatest", 6, 28},
		{"1", "layer 1: ReLU", "in each map black is 0 and white its greatest value", 6, 28},
		{"5", "layer 5: MaxPool 2×2", "in each map black is 0 and white its greatest value", 16, 5},
		{"8", "layer 8: ReLU", "black is 0, white ", 120, 1},
		{"11", "layer 11: Linear 10", "black is -", 10, 1},
	} {
		g, err := tr.FeatureGrid(pool(t, 1), p, c.layer)
		if err != nil {
			t.Fatal(err)
		}
		if g.Title != c.title || len(g.Tiles) != c.tiles || g.Tiles[0].Image.Bounds().Dx() != c.side || !strings.HasPrefix(g.Lines[1], c.legend) {
			t.Errorf("layer %s: %q, %q, %d tiles of %v", c.layer, g.Title, g.Lines, len(g.Tiles), g.Tiles[0].Image.Bounds())
		}
		maps, err := tr.Features(pool(t, 1), p, c.layer)
		if err != nil {
			t.Fatal(err)
		}
		checkTiles(t, c.layer, maps.Data().([]float32), c.side*c.side, g.Tiles[0].Image.(*image.Gray), strings.Contains(c.legend, "is 0"))
	}
	_, err = tr.FeatureGrid(pool(t, 1), p, "conv1")
	if err == nil || !strings.Contains(err.Error(), `model lenet-relu: the network has no layer "conv1"`) || !strings.Contains(err.Error(), "11 (Linear 10)") {
		t.Errorf("another layer: %v", err)
	}
}

// checkTiles: the first tile's black and white are where its least and greatest
// values are.
func checkTiles(t *testing.T, layer string, v []float32, size int, tile *image.Gray, positive bool) {
	t.Helper()
	low, high := slices.Min(v), slices.Max(v) // of a flat vector
	if size > 1 {
		low, high = slices.Min(v[:size]), slices.Max(v[:size])
	}
	if positive {
		low = 0
	}
	for i, shade := range tile.Pix {
		want := 0.0
		if high > low {
			want = 255 * float64((v[i]-low)/(high-low))
		}
		if math.Abs(float64(shade)-want) > 0.51 {
			t.Fatalf("layer %s, value %d: shade %d, want %.1f", layer, i, shade, want)
		}
	}
}

func TestFilters(t *testing.T) {
	g, err := mustOpen(t, write(t, "lenet-relu", data.Digits().Manifest)).Filters()
	if err != nil {
		t.Fatal(err)
	}
	if _, grey := g.Tiles[0].Image.(*image.Gray); !grey || len(g.Tiles) != 6 || g.Title != "kernels of layer 0: Conv 6, kernel 5×5, padding 2" {
		t.Errorf("%q: %d tiles, the first %T", g.Title, len(g.Tiles), g.Tiles[0].Image)
	}
	tr := mustOpen(t, write(t, "lenet-relu", colourful(t).Manifest))
	if g, err = tr.Filters(); err != nil {
		t.Fatal(err)
	}
	w := tr.Parameters()["0.weight"]
	if fmt.Sprint(w.Shape()) != "(6, 3, 5, 5)" {
		t.Errorf("weights of shape %v", w.Shape())
	}
	v := w.Data().([]float32)[:75]
	low, high := slices.Min(v), slices.Max(v)
	tile := g.Tiles[0].Image.(*image.RGBA)
	for i := range 25 {
		c := tile.RGBAAt(i%5, i/5)
		for channel, got := range []uint8{c.R, c.G, c.B} {
			if want := 255 * (v[25*channel+i] - low) / (high - low); math.Abs(float64(got)-float64(want)) > 0.51 {
				t.Fatalf("weight %d of channel %d: shade %d, want %.1f", i, channel, got, want)
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	empty := t.TempDir()
	waiting := filepath.Join(t.TempDir(), "jobs", "lenet-1")
	both := t.TempDir()
	for _, dir := range []string{waiting, filepath.Join(both, "jobs", "a"), filepath.Join(both, "jobs", "b")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := filepath.Join(empty, "text")
	if err := os.WriteFile(text, []byte("no checkpoint at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"nowhere":                           "name the folder of a run",
		empty:                               "holds no run",
		filepath.Dir(filepath.Dir(waiting)): "has no checkpoint yet",
		both:                                "holds 2 jobs: name one of their folders",
		text:                                "no safetensors file",
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
