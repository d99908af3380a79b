package floats

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestBytesAndBack(t *testing.T) {
	v := []float32{0, 1, -2.5, float32(math.Inf(1)), math.Float32frombits(0x7fc00001), math.MaxFloat32, math.SmallestNonzeroFloat32}
	var want []byte
	for _, x := range v {
		want = binary.LittleEndian.AppendUint32(want, math.Float32bits(x))
	}
	if got := Bytes(v); !bytes.Equal(got, want) {
		t.Errorf("bytes %x, want %x", got, want)
	}
	back, err := Decode(want)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(back, v, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
		t.Errorf("%v decodes to %v", v, back)
	}
	Bytes(v)[0] = 1
	if math.Float32bits(v[0]) != 1 || math.Float32bits(back[0]) != 0 {
		t.Error("Bytes must share memory, Decode must not")
	}
}

func TestNothing(t *testing.T) {
	if b := Bytes(nil); b != nil {
		t.Errorf("bytes of nothing: %v", b)
	}
	if v, err := Decode(nil); err != nil || len(v) != 0 {
		t.Errorf("floats of nothing: %v, %v", v, err)
	}
	if !Finite(nil) {
		t.Error("nothing is finite")
	}
	if _, err := Decode(make([]byte, 7)); err == nil || !strings.Contains(err.Error(), "7 bytes") {
		t.Errorf("7 bytes: %v", err)
	}
}

// One bad element is found wherever it stands.
func TestFinite(t *testing.T) {
	for _, bad := range []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())} {
		for i := range 13 {
			v := []float32{0, 1, -1, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, 3, 4, 5, 6, 7, 8, 9}[:max(9, i+1)]
			if !Finite(v) {
				t.Fatalf("%v is finite", v)
			}
			v[i] = bad
			if Finite(v) {
				t.Errorf("%v is not finite", v)
			}
		}
	}
}

func BenchmarkFinite(b *testing.B) {
	v := make([]float32, 1<<14)
	b.SetBytes(4 << 14)
	for b.Loop() {
		Finite(v)
	}
}
