package rng

import (
	"encoding/binary"
	"math"
	"testing"

	"pgregory.net/rapid"

	"convoy/digest"
)

// TestPhilox checks the vectors that Random123 publishes (kat_vectors,
// philox4x32 10): counter, key, result.
func TestPhilox(t *testing.T) {
	const ones = 0xffffffff
	for _, v := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{want: [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{
			[4]uint32{ones, ones, ones, ones},
			[2]uint32{ones, ones},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
		},
		{
			[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
			[2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
		},
	} {
		if got := philox(v.counter, v.key); got != v.want {
			t.Errorf("philox(%08x, %08x) = %08x, want %08x", v.counter, v.key, got, v.want)
		}
	}
}

// TestStreamsDiffer: each argument of At leads to other numbers.
func TestStreamsDiffer(t *testing.T) {
	seen := map[uint64]string{}
	for name, s := range map[string]Stream{
		"base":      At(1, Initial, 2, 3),
		"seed":      At(2, Initial, 2, 3),
		"high seed": At(1|1<<40, Initial, 2, 3),
		"purpose":   At(1, Digits, 2, 3),
		"i":         At(1, Initial, 3, 3),
		"high i":    At(1, Initial, 2|1<<40, 3),
		"j":         At(1, Initial, 2, 4),
	} {
		for range 10 {
			v := s.Uint64()
			if other, ok := seen[v]; ok {
				t.Errorf("%s and %s share a number", name, other)
			}
			seen[v] = name
		}
	}
}

// TestUniform looks at mean and variance, and at the frequencies of Intn.
func TestUniform(t *testing.T) {
	const n = 100000
	s := At(5, Digits, 0, 0)
	var sum, squares, normal, normalSquares, fourth, product float64
	var counts [7]int
	for range n {
		u := float64(s.Float32())
		if u < 0 || u >= 1 {
			t.Fatalf("Float32 gave %v", u)
		}
		sum += u
		squares += u * u
		x, y := s.Normals()
		normal += x + y
		normalSquares += x*x + y*y
		fourth += x*x*x*x + y*y*y*y
		product += x * y
		counts[s.Intn(7)]++
	}
	near := func(name string, got, want, tolerance float64) {
		t.Helper()
		if math.Abs(got-want) > tolerance {
			t.Errorf("%s is %v, want %v ± %v", name, got, want, tolerance)
		}
	}
	near("mean of Float32", sum/n, 0.5, 0.004)
	near("mean square of Float32", squares/n, 1.0/3, 0.004)
	near("mean of Normals", normal/(2*n), 0, 0.01)
	near("mean square of Normals", normalSquares/(2*n), 1, 0.014)
	near("mean fourth power of Normals", fourth/(2*n), 3, 0.1)
	near("mean product of two Normals", product/n, 0, 0.015)
	for v, c := range counts {
		near("count of "+string(rune('0'+v)), float64(c), n/7.0, 500)
	}
}

// bijective fails t unless p takes every value of 0…n−1 once.
func bijective(t interface{ Fatalf(string, ...any) }, p Permutation) {
	seen := make([]bool, p.Len())
	for i := range seen {
		v := p.At(i)
		if v < 0 || v >= p.Len() || seen[v] {
			t.Fatalf("permutation of %d: position %d holds %d, out of range or for the second time", p.Len(), i, v)
		}
		seen[v] = true
	}
}

func TestPermutationIsBijective(t *testing.T) {
	for n := 1; n <= 300; n++ {
		bijective(t, NewPermutation(uint64(n), n%5, n))
	}
	bijective(t, NewPermutation(1, 0, 60000))
	rapid.Check(t, func(t *rapid.T) {
		bijective(t, NewPermutation(rapid.Uint64().Draw(t, "seed"),
			rapid.IntRange(0, 1<<40).Draw(t, "epoch"), rapid.IntRange(1, 5000).Draw(t, "n")))
	})
	large := NewPermutation(1, 0, 1<<61+12345)
	if v := large.At(1 << 60); v < 0 || v >= large.Len() {
		t.Errorf("permutation of %d gave %d", large.Len(), v)
	}
}

// TestPermutationsDiffer: another seed or epoch is another order, and few
// positions agree.
func TestPermutationsDiffer(t *testing.T) {
	const n = 5000
	base := NewPermutation(1, 0, n)
	for name, p := range map[string]Permutation{
		"epoch": NewPermutation(1, 1, n), "seed": NewPermutation(2, 0, n), "identity": {},
	} {
		same := 0
		for i := range n {
			v := i
			if p.Len() == n {
				v = p.At(i)
			}
			if base.At(i) == v {
				same++
			}
		}
		if same > 10 {
			t.Errorf("%s: %d of %d positions agree", name, same, n)
		}
	}
}

// TestPermutationIsUniform: over many epochs, each of the 24 orders of 4
// elements, and each element of 10 in each place, comes about equally often.
func TestPermutationIsUniform(t *testing.T) {
	const epochs = 24000
	orders := map[[4]int]int{}
	var places [10][10]int
	for e := range epochs {
		p := NewPermutation(3, e, 4)
		orders[[4]int{p.At(0), p.At(1), p.At(2), p.At(3)}]++
		p = NewPermutation(3, e, 10)
		for i := range 10 {
			places[i][p.At(i)]++
		}
	}
	if len(orders) != 24 {
		t.Errorf("%d of the 24 orders of 4 elements came up", len(orders))
	}
	for o, c := range orders {
		if c < 800 || c > 1200 {
			t.Errorf("order %v came %d times of %d, want about 1000", o, c, epochs)
		}
	}
	for i := range places {
		for v, c := range places[i] {
			if c < 2150 || c > 2650 {
				t.Errorf("element %d stood %d times at %d, want about 2400", v, c, i)
			}
		}
	}
}

// TestGoldenBits pins the numbers: the same on every machine, for ever in this
// arithmetic version.
func TestGoldenBits(t *testing.T) {
	const golden = "ff7036933eb9b6c37d1d96dd8e6e8e67955e0d8c4573d08805d56dab85eaf772"
	var b []byte
	put := func(v uint64) { b = binary.LittleEndian.AppendUint64(b, v) }
	for i := range uint64(500) {
		s := At(1234567890123, Initial, i, i*i)
		put(uint64(s.Uint32()))
		put(s.Uint64())
		put(uint64(math.Float32bits(s.Float32())))
		put(math.Float64bits(s.Float64()))
		put(uint64(s.Intn(1000)))
		x, y := s.Normals()
		put(math.Float64bits(x))
		put(math.Float64bits(y))
		put(uint64(NewPermutation(42, int(i), 60000).At(int(i))))
	}
	if got := digest.Of(b).String(); got != golden {
		t.Errorf("digest %s, want %s", got, golden)
	}
}

func BenchmarkAt(b *testing.B) {
	var sum float32
	i := uint64(0)
	for b.Loop() {
		s := At(1, Initial, 0, i)
		sum += s.Float32()
		i++
	}
}

func BenchmarkNormals(b *testing.B) {
	s := At(1, Digits, 0, 0)
	for i := 0; b.Loop(); i++ {
		if i%1e6 == 0 {
			s = At(1, Digits, uint64(i), 0)
		}
		s.Normals()
	}
}

func BenchmarkPermutation(b *testing.B) {
	p := NewPermutation(1, 0, 60000)
	for i := 0; b.Loop(); i++ {
		p.At(i % 60000)
	}
}

// TestSkip: as if the words had been taken.
func TestSkip(t *testing.T) {
	for before := range 9 {
		for n := range 13 {
			want, got := At(3, Dropout, 5, 6), At(3, Dropout, 5, 6)
			for range before {
				want.Uint32()
				got.Uint32()
			}
			for range n {
				want.Uint32()
			}
			got.Skip(n)
			for range 6 {
				if w, g := want.Uint32(), got.Uint32(); w != g {
					t.Fatalf("after %d words and %d more: %x, want %x", before, n, g, w)
				}
			}
		}
	}
	s := At(1, Dropout, 0, 0)
	s.Skip(1<<26 - 4)
	defer func() {
		if recover() == nil {
			t.Error("no panic at the end of a stream")
		}
	}()
	s.Skip(8)
}
