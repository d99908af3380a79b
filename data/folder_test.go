package data

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"convoy/digest"
)

// pngFile is a PNG of m.
func pngFile(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// greyFile is a PNG of height × width pixels of one value.
func greyFile(t testing.TB, height, width int, value byte) []byte {
	m := image.NewGray(image.Rect(0, 0, width, height))
	for i := range m.Pix {
		m.Pix[i] = value
	}
	return pngFile(t, m)
}

// colourFile is a PNG of one pixel.
func colourFile(t testing.TB, c color.NRGBA) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, 1, 1))
	m.SetNRGBA(0, 0, c)
	return pngFile(t, m)
}

// writeTree writes files into a folder, below folders of their own.
func writeTree(t testing.TB, files map[string][]byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// twoClasses is a folder with both splits; the pixels tell the file.
func twoClasses(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"train/cat/b.png": greyFile(t, 2, 3, 2), "train/cat/a.png": greyFile(t, 2, 3, 1), "train/cat/B.PNG": greyFile(t, 2, 3, 0),
		"train/dog/a.png": greyFile(t, 2, 3, 3), "test/dog/a.png": greyFile(t, 2, 3, 5), "test/cat/a.png": greyFile(t, 2, 3, 4),
		"train/cat/.hidden": []byte("no image"), "README": []byte("no image"), ".git/x": []byte("no image"),
	}
}

func TestFolder(t *testing.T) {
	for _, test := range heldOut {
		files := map[string][]byte{}
		for name, b := range twoClasses(t) {
			if rest, found := bytes.CutPrefix([]byte(name), []byte("test/")); found {
				name = test + "/" + string(rest)
			}
			files[name] = b
		}
		set, err := Open("animals", writeTree(t, files))
		if err != nil {
			t.Fatal(err)
		}
		m := set.Manifest
		if fmt.Sprint(m.ClassNames) != "[cat dog]" || m.Channels != 1 || m.Height != 2 || m.Width != 3 || m.Validation != nil {
			t.Errorf("manifest %+v", m)
		}
		wantExamples(t, set.Train, 6, [][2]int{{0, 0}, {1, 0}, {2, 0}, {3, 1}})
		wantExamples(t, set.Test, 6, [][2]int{{4, 0}, {5, 1}})
		const want = "2c6d8784"
		if got := m.Digest().String()[:8]; got != want {
			t.Errorf("digest %s, want %s: it names the content, whatever the folder is called", got, want)
		}
	}
}

// wantExamples compares the first pixel and the label of each example.
func wantExamples(t *testing.T, s Split, size int, want [][2]int) {
	t.Helper()
	if s.Len() != len(want) {
		t.Fatalf("%d examples, want %d", s.Len(), len(want))
	}
	pixels := make([]byte, size)
	for i, w := range want {
		if label := s.Example(i, pixels); label != w[1] || int(pixels[size-1]) != w[0] {
			t.Errorf("example %d is of class %d with pixel %d, want %d and %d", i, label, pixels[size-1], w[1], w[0])
		}
	}
}

func TestFolderErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f map[string][]byte)
		o      Options
		want   []string
	}{
		"sizes": {
			change: func(f map[string][]byte) { f["test/dog/z.png"] = greyFile(t, 3, 2, 0) },
			want:   []string{"7 images", "6 are 2×3 grey (train/cat/B.PNG, ", "1 are 3×2 grey (test/dog/z.png)", "--resize"},
		},
		"modes": {
			change: func(f map[string][]byte) {
				f["train/dog/z.png"] = pngFile(t, image.NewPaletted(image.Rect(0, 0, 3, 2), color.Palette{color.White}))
			},
			want: []string{"1 are 2×3 RGB (train/dog/z.png)", "--rgb"},
		},
		"broken": {
			change: func(f map[string][]byte) {
				f["train/dog/a.png"] = f["train/dog/a.png"][:40]
				f["test/cat/notes.txt"] = []byte("hello")
			},
			want: []string{"2 of 7 files", "train/dog/a.png (unexpected EOF)", "test/cat/notes.txt (neither PNG nor JPEG)", "--skip-broken"},
		},
		"class without a whole image": {
			change: func(f map[string][]byte) { f["train/dog/a.png"] = nil },
			o:      Options{SkipBroken: true},
			want:   []string{"no training image of class dog"},
		},
		"nothing whole": {
			change: func(f map[string][]byte) {
				for name := range f {
					f[name] = []byte("text")
				}
			},
			o:    Options{SkipBroken: true},
			want: []string{"no image can be read", "train/cat/B.PNG (neither PNG nor JPEG)", "1 more"},
		},
		"classes differ": {
			change: func(f map[string][]byte) { f["test/bird/a.png"] = greyFile(t, 2, 3, 0); delete(f, "test/dog/a.png") },
			want:   []string{"only train has dog; only test has bird", "both folders need the same"},
		},
		"two tests":   {change: func(f map[string][]byte) { f["val/cat/a.png"] = nil }, want: []string{"both test and val", "move away"}},
		"too deep":    {change: func(f map[string][]byte) { f["train/cat/x/a.png"] = nil }, want: []string{"train/cat/x is a folder", "class cat"}},
		"empty class": {change: func(f map[string][]byte) { f["train/cow/.x"], f["test/cow/a.png"] = nil, nil }, want: []string{"train/cow holds no images"}},
		"one class": {
			change: func(f map[string][]byte) { clear(f); f["train/cat/a.png"] = greyFile(t, 2, 3, 1) },
			want:   []string{"1 folders of classes", "want 2"},
		},
		"no folders":       {change: func(f map[string][]byte) { clear(f); f["a.png"] = nil }, want: []string{"holds no set", "IDX", "data_batch_1.bin", "folders of classes"}},
		"own test":         {o: Options{Validation: 1000}, want: []string{"own test examples"}},
		"format":           {o: Options{Format: "tar"}, want: []string{`format "tar"`, "auto, idx"}},
		"wrong format":     {o: Options{Format: FormatCIFAR10}, want: []string{"data_batch_1.bin is missing"}},
		"resize":           {o: Options{Height: 3}, want: []string{"resize to 3×0"}},
		"resize too large": {o: Options{Height: 1 << 15, Width: 2}, want: []string{"resize to 32768×2"}},
		"validation":       {o: Options{Validation: 10_000}, want: []string{"less than all"}},
		"coarse":           {o: Options{Coarse: true}, want: []string{"coarse classes are CIFAR-100's"}},
	} {
		t.Run(name, func(t *testing.T) {
			files := twoClasses(t)
			if c.change != nil {
				c.change(files)
			}
			_, err := openSource(context.Background(), "animals", writeTree(t, files), c.o)
			checkError(t, err, append(c.want, `data set "animals"`))
		})
	}
}

// TestFolderOptions brings grey and RGB images of two sizes to one kind, and
// leaves out what is broken.
func TestFolderOptions(t *testing.T) {
	files := twoClasses(t)
	files["train/dog/b.png"] = colourFile(t, color.NRGBA{10, 20, 30, 255})
	files["train/dog/c.png"] = []byte("text")
	s, err := openSource(context.Background(), "animals", writeTree(t, files), Options{RGB: true, Height: 4, Width: 4, SkipBroken: true})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(s.skipped) != "[train/dog/c.png (neither PNG nor JPEG)]" {
		t.Errorf("left out %q", s.skipped)
	}
	set, err := s.resident(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if m := set.Manifest; m.Channels != 3 || m.Height != 4 || m.Width != 4 {
		t.Errorf("manifest %+v", m)
	}
	wantExamples(t, set.Train, 48, [][2]int{{0, 0}, {1, 0}, {2, 0}, {3, 1}, {30, 1}})
}

func TestDecodeImage(t *testing.T) {
	grey16 := image.NewGray16(image.Rect(0, 0, 1, 1))
	rgb16 := image.NewNRGBA64(image.Rect(0, 0, 1, 1))
	palette := image.NewPaletted(image.Rect(0, 0, 2, 1), color.Palette{color.NRGBA{1, 2, 3, 255}, color.NRGBA{4, 5, 6, 255}})
	palette.Pix[1] = 1
	clear := image.NewPaletted(image.Rect(0, 0, 1, 1), color.Palette{color.NRGBA{1, 2, 3, 128}})
	whole := colourFile(t, color.NRGBA{7, 8, 9, 255})
	for name, c := range map[string]struct {
		file []byte
		want string // the pixels, or the error
	}{
		"grey":        {greyFile(t, 1, 2, 9), "1×2 grey [9 9]"},
		"RGB":         {whole, "1×1 RGB [7 8 9]"},
		"palette":     {pngFile(t, palette), "1×2 RGB [1 4 2 5 3 6]"},
		"alpha":       {colourFile(t, color.NRGBA{7, 8, 9, 254}), "transparent pixels"},
		"clear":       {pngFile(t, clear), "transparent pixels"},
		"16-bit grey": {pngFile(t, grey16), "16 bits"},
		"16-bit RGB":  {pngFile(t, rgb16), "16 bits"},
		"text":        {[]byte("GIF89a"), "neither PNG nor JPEG"},
		"empty":       {nil, "neither PNG nor JPEG"},
		"truncated":   {whole[:len(whole)-20], "EOF"},
		"damaged":     {bytes.Replace(whole, []byte("IDAT"), []byte("IDAU"), 1), "checksum"},
		"huge":        {pngFile(t, image.NewGray(image.Rect(0, 0, 1, maxSide+1))), "want sides of 1 to"},
		"CMYK":        {cmykFile(), "CMYK"},
	} {
		t.Run(name, func(t *testing.T) {
			pixels, channels, height, width, err := DecodeImage(c.file)
			if err != nil {
				checkError(t, err, []string{c.want})
			} else if got := fmt.Sprint(kind{height, width, channels}, " ", pixels); got != c.want {
				t.Errorf("decoded as %s, want %s", got, c.want)
			}
		})
	}
}

// cmykFile is a JPEG of one block in four components, all of them in the middle
// of the range. The encoder of image/jpeg writes none.
func cmykFile() []byte {
	segment := func(marker byte, body ...byte) []byte {
		return append([]byte{0xff, marker, 0, byte(len(body) + 2)}, body...)
	}
	return slices.Concat([]byte{0xff, 0xd8},
		segment(0xee, append([]byte("Adobe"), 0, 100, 0, 0, 0, 0, 0)...),
		segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...),
		segment(0xc0, 8, 0, 8, 0, 8, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0),
		segment(0xc4, 0x00, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), // DC: one code of one bit, difference 0
		segment(0xc4, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), // AC: one code of one bit, end of block
		segment(0xda, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0), []byte{0x00, 0xff, 0xd9})
}

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDecodePhoto pins the pixels of a JPEG file, which decoders may round
// differently: they are the same on every kind of processor.
func TestDecodePhoto(t *testing.T) {
	pixels, channels, height, width, err := DecodeImage(readTestdata(t, "photo.jpg"))
	if err != nil || channels != 3 || height != 32 || width != 32 {
		t.Fatalf("%d×%d×%d, %v", channels, height, width, err)
	}
	const want = "dc3b9a049b78388b6f64a0169788b646ee3b8d92384ff6e31859ee34082c3cb4"
	if got := digest.Of(pixels).String(); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// FuzzDecodeImage checks that no input makes the decoder fail otherwise than by
// an error, and that it returns as many bytes as it says.
func FuzzDecodeImage(f *testing.F) {
	f.Add(greyFile(f, 2, 3, 1))
	f.Add(colourFile(f, color.NRGBA{1, 2, 3, 255}))
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 9, 9)), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(readTestdata(f, "photo.jpg"))
	f.Fuzz(func(t *testing.T, file []byte) {
		pixels, channels, height, width, err := DecodeImage(file)
		if err == nil && (len(pixels) != channels*height*width || len(pixels) == 0) {
			t.Errorf("%d pixels of %d×%d×%d", len(pixels), channels, height, width)
		}
	})
}
