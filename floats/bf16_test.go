package floats

import (
	"math"
	"slices"
	"testing"
)

func TestRoundBF16(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct{ bits, want uint32 }{
		{0, 0},
		{0x80000000, 0x80000000}, // −0 stays
		{0x3f800000, 0x3f800000}, // 1
		{0x3f808000, 0x3f800000}, // a tie goes to the even one, here down
		{0x3f818000, 0x3f820000}, // and here up
		{0x3f808001, 0x3f810000}, // just above a tie
		{0xbf808001, 0xbf810000},
		{0x3f807fff, 0x3f800000}, // just below
		{0x3fffffff, 0x40000000}, // into the next exponent
		{0x00008001, 0x00010000}, // a subnormal
		{0x00008000, 0x00000000},
		{0x7f7f7fff, 0x7f7f0000}, // the largest
		{0x7f7f8000, 0x7f800000}, // beyond it
		{math.Float32bits(inf), 0x7f800000},
		{math.Float32bits(-inf), 0xff800000},
		{0x7f800001, 0x7fc00000},
		{0xff80ffff, 0xffc00000},
		{0x7fffffff, 0x7fff0000},
	} {
		v := []float32{math.Float32frombits(c.bits)}
		RoundBF16(v)
		if got := math.Float32bits(v[0]); got != c.want {
			t.Errorf("%#08x rounds to %#08x, want %#08x", c.bits, got, c.want)
		}
	}
}

// Rounding gives the nearer of both neighbours, whatever the bits.
func FuzzBF16(f *testing.F) {
	f.Add(uint32(0x3f808000))
	f.Add(uint32(0x7f800001))
	f.Fuzz(func(t *testing.T, bits uint32) {
		x := math.Float32frombits(bits)
		v := []float32{x, 1}
		RoundBF16(v)
		if !IsBF16(v) {
			t.Fatalf("%#08x is no bfloat16", math.Float32bits(v[0]))
		}
		back, err := DecodeBF16(AppendBF16([]byte{9}, v)[1:])
		if err != nil || !slices.EqualFunc(back, v, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
			t.Fatalf("%v comes back as %v, %v", v, back, err)
		}
		switch y := float64(v[0]); {
		case x != x:
			if y == y {
				t.Fatal("a NaN became a number")
			}
		case math.IsInf(y, 0):
			if math.Abs(float64(x)) < 0x1.ffp127 { // half way between the largest and what would come next
				t.Fatalf("%v became infinite", x)
			}
		default:
			below, above := math.Float32frombits(bits&^0xffff), math.Float32frombits(bits&^0xffff+0x10000)
			if d := math.Abs(y - float64(x)); d > math.Abs(float64(below)-float64(x)) || d > math.Abs(float64(above)-float64(x)) {
				t.Fatalf("%v became %v, between %v and %v", x, y, below, above)
			}
		}
	})
}

func TestIsBF16(t *testing.T) {
	if !IsBF16([]float32{1, -2, 0}) || IsBF16([]float32{1, 1.0001, 0}) {
		t.Error("1, −2 and 0 are bfloat16, 1.0001 is not")
	}
	if _, err := DecodeBF16(make([]byte, 3)); err == nil {
		t.Error("3 bytes were decoded")
	}
}

func BenchmarkRoundBF16(b *testing.B) {
	v := make([]float32, 1<<14)
	for i := range v {
		v[i] = float32(i) / 3
	}
	b.SetBytes(4 << 14)
	for b.Loop() {
		RoundBF16(v)
	}
}
