package data

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"convoy/digest"
	"convoy/rng"
)

// TestResizeByHand: sums that can be done on paper. Growing, a new pixel lies
// between two centres; shrinking by r, the triangle reaches r pixels each way.
func TestResizeByHand(t *testing.T) {
	for _, c := range []struct {
		name              string
		height, width     int
		pixels            []byte
		toHeight, toWidth int
		want              []byte
	}{
		{"twice", 1, 2, []byte{0, 100}, 1, 4, []byte{0, 25, 75, 100}},
		{"twice, downwards", 2, 1, []byte{0, 100}, 4, 1, []byte{0, 25, 75, 100}},
		// Centres at 1/3, 1, 5/3: 1/3 lies outside of the first centre.
		{"two to three", 1, 2, []byte{10, 210}, 1, 3, []byte{10, 110, 210}},
		// Weights 3, 3, 1 of 7: (3·10 + 3·20 + 30) ÷ 7 = 17.1.
		{"half", 1, 4, []byte{10, 20, 30, 40}, 1, 2, []byte{17, 33}},
		// Weights 2, 3, 2, 1 of 8: 255 ÷ 8 = 31.9.
		{"a third", 1, 6, []byte{0, 0, 0, 255, 255, 255}, 1, 2, []byte{32, 223}},
		{"one pixel", 1, 1, []byte{77}, 2, 2, []byte{77, 77, 77, 77}},
		{"both ways", 2, 2, []byte{0, 80, 160, 240}, 4, 4, []byte{
			0, 20, 60, 80,
			40, 60, 100, 120,
			120, 140, 180, 200,
			160, 180, 220, 240,
		}},
		{"two channels", 1, 2, []byte{0, 100, 100, 0}, 1, 4, []byte{0, 25, 75, 100, 100, 75, 25, 0}},
	} {
		channels := len(c.pixels) / c.height / c.width
		if got := Resize(c.pixels, channels, c.height, c.width, c.toHeight, c.toWidth); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestResizeProperties: one value stays, the same size changes nothing, and a
// mirrored image is mirrored afterwards.
func TestResizeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.IntRange(1, 40)
		h, w, toH, toW := side.Draw(t, "height"), side.Draw(t, "width"), side.Draw(t, "to height"), side.Draw(t, "to width")
		pixels := rapid.SliceOfN(rapid.Byte(), h*w, h*w).Draw(t, "pixels")
		if got := Resize(pixels, 1, h, w, h, w); !bytes.Equal(got, pixels) {
			t.Fatalf("the same size: %v from %v", got, pixels)
		}
		resized := Resize(pixels, 1, h, w, toH, toW)
		low, high := slices.Min(pixels), slices.Max(pixels)
		for _, v := range resized {
			if v < low || v > high {
				t.Fatalf("%d among values from %d to %d", v, low, high)
			}
		}
		for _, vertically := range []bool{false, true} {
			want := mirrored(resized, toH, toW, vertically)
			if got := Resize(mirrored(pixels, h, w, vertically), 1, h, w, toH, toW); !bytes.Equal(got, want) {
				t.Fatalf("mirrored first: %v, afterwards: %v", got, want)
			}
		}
	})
	for _, from := range []int{1, 16, 255, maxSide} {
		for _, to := range []int{1, 3, 257} {
			for _, v := range []byte{0, 1, 128, 255} {
				got := Resize(bytes.Repeat([]byte{v}, from), 1, 1, from, 1, to)
				if !bytes.Equal(got, bytes.Repeat([]byte{v}, to)) {
					t.Errorf("%d pixels of value %d to %d: %v", from, v, to, got)
				}
			}
		}
	}
}

func mirrored(pixels []byte, height, width int, vertically bool) []byte {
	m := make([]byte, len(pixels))
	for y := range height {
		for x := range width {
			from := y*width + width - 1 - x
			if vertically {
				from = (height-1-y)*width + x
			}
			m[y*width+x] = pixels[from]
		}
	}
	return m
}

// TestResizeAgainstFormula: the triangle of the definition in float64, nothing
// rounded between columns and rows.
func TestResizeAgainstFormula(t *testing.T) {
	axis := func(from, to int) [][]float64 {
		scale := float64(from) / float64(to)
		reach := math.Max(1, scale)
		rows := make([][]float64, to)
		for i := range rows {
			rows[i] = make([]float64, from)
			var sum float64
			for j := range rows[i] {
				rows[i][j] = math.Max(0, 1-math.Abs(float64(j)+0.5-(float64(i)+0.5)*scale)/reach)
				sum += rows[i][j]
			}
			for j := range rows[i] {
				rows[i][j] /= sum
			}
		}
		return rows
	}
	for _, s := range [][4]int{{28, 28, 224, 224}, {32, 32, 96, 224}, {32, 32, 28, 20}, {50, 71, 13, 7}, {7, 3, 7, 200}, {1, 9, 5, 1}} {
		pixels := noise(s[0] * s[1])
		got := Resize(pixels, 1, s[0], s[1], s[2], s[3])
		rows, columns := axis(s[0], s[2]), axis(s[1], s[3])
		for y := range s[2] {
			for x := range s[3] {
				var want float64
				for i, wi := range rows[y] {
					for j, wj := range columns[x] {
						want += wi * wj * float64(pixels[i*s[1]+j])
					}
				}
				// Half a unit each for columns and rows.
				if v := float64(got[y*s[3]+x]); math.Abs(v-want) > 1.001 {
					t.Fatalf("%v: pixel %d, %d is %v, want %v", s, y, x, v, want)
				}
			}
		}
	}
}

func noise(n int) []byte {
	pixels, s := make([]byte, n), rng.At(3, rng.Digits, 0, 0)
	for i := range pixels {
		pixels[i] = byte(s.Uint32())
	}
	return pixels
}

// TestResizeGolden pins the bytes: the same on every machine.
func TestResizeGolden(t *testing.T) {
	const golden = "a8b60094b63bf09e8d596e9218bc2bd14a5e45c79c940fa7b49aeb37fed9057e"
	var all []byte
	for _, to := range [][2]int{{224, 224}, {96, 96}, {33, 57}, {14, 9}, {1, 1}} {
		all = append(all, Resize(noise(3*28*32), 3, 28, 32, to[0], to[1])...)
	}
	if got := digest.Of(all).String(); got != golden {
		t.Errorf("digest %s, want %s", got, golden)
	}
}

func BenchmarkResize(b *testing.B) {
	for _, c := range []struct {
		name               string
		channels, from, to int
	}{{"grey 28 to 224", 1, 28, 224}, {"RGB 32 to 224", 3, 32, 224}, {"RGB 256 to 32", 3, 256, 32}} {
		b.Run(c.name, func(b *testing.B) {
			r := NewResizer(c.from, c.from, c.to, c.to)
			src, dst, work := noise(c.channels*c.from*c.from), make([]byte, c.channels*c.to*c.to), make([]uint64, r.Work())
			b.ReportAllocs()
			for b.Loop() {
				r.Resize(dst, src, work)
			}
		})
	}
}
