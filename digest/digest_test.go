package digest

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"

	"convoy/floats"
)

// ramp is a vector of n floats, all different.
func ramp(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i) / 3
	}
	return v
}

// These are part of the arithmetic version: they may change with it alone.
func TestGoldens(t *testing.T) {
	chain := Chain0(Of([]byte("recipe")), Of([]byte("state")))
	g := OfGradient(ramp(LeafFloats+1), Sums{1.5, 2, 3, 4})
	for name, c := range map[string]struct{ got, want string }{
		"tensors":   {Tensors("tag", Vector{"params", ramp(LeafFloats + 1)}, Vector{"velocity", ramp(3)}).String(), "fa5ca4ad0da174b2603282a0f35ef18c1b7c544489e62345d702f5e625c29420"},
		"no tensor": {Tensors("tag").String(), "3d7204e5ca2b81e8fd63a0abc66fbb2bfd55385466dd0bac19ce1a57360539a8"},
		"gradient":  {Of(g[:]).String(), "e6ff546ee9b9bc9f6d04b05cd155e28560199dca5b7737b393bf44c0dcb65994"},
		"chain 0":   {chain.String(), "bc4734c0e21b068aacd553ba07a6289c225a213c16c554450054e89610913904"},
		"chain 1":   {Next(chain, g).String(), "47939cbe93adc433bef14d87395336b54b8fc24dbc2d3734e13ae5b616001788"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
	if got := Chunk(ramp(5)); got != xxh3.Hash(floats.Bytes(ramp(5))) {
		t.Errorf("chunk %x", got)
	}
}

// The definition in plain words: text and vectors with their lengths in front,
// and each leaf of 64 KiB by its xxh3-128.
func TestTensorsIsTheDefinition(t *testing.T) {
	for _, n := range []int{0, 1, LeafFloats - 1, LeafFloats, LeafFloats + 1, 3*LeafFloats + 5} {
		v := ramp(n)
		h := sha256.New()
		for _, s := range []string{"tag", "v"} {
			h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(s))))
			h.Write([]byte(s))
		}
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
		for b := floats.Bytes(v); len(b) > 0; b = b[min(len(b), 64<<10):] {
			leaf := xxh3.Hash128(b[:min(len(b), 64<<10)]).Bytes()
			h.Write(leaf[:])
		}
		if got := Tensors("tag", Vector{"v", v}); got != Sum(h.Sum(nil)) {
			t.Errorf("%d floats: %s, want %x", n, got, h.Sum(nil))
		}
	}
}

// Whatever differs in what is digested gives another digest.
func TestAllCounts(t *testing.T) {
	v := ramp(10)
	other := ramp(10)
	other[9] = -other[9]
	seen := map[Sum]int{}
	for i, s := range []Sum{
		Tensors("tag", Vector{"a", v}), Tensors("gat", Vector{"a", v}), Tensors("tag", Vector{"b", v}),
		Tensors("tag", Vector{"a", other}), Tensors("tag", Vector{"a", v[:9]}), Tensors("tag"),
		Tensors("tag", Vector{"a", v[:5]}, Vector{"a", v[5:]}), Tensors("tag", Vector{"a", v}, Vector{"", nil}),
	} {
		if j, twice := seen[s]; twice {
			t.Errorf("%d and %d have the same digest", i, j)
		}
		seen[s] = i
	}
	gradients := map[Gradient]int{}
	for i, g := range []Gradient{
		OfGradient(v, Sums{1, 2, 3, 4}), OfGradient(other, Sums{1, 2, 3, 4}), OfGradient(v, Sums{2, 2, 3, 4}), OfGradient(v, Sums{1, 3, 3, 4}),
		OfGradient(v, Sums{1, 2, 4, 4}), OfGradient(v, Sums{1, 2, 3, 5}), OfGradient(nil, Sums{1, 2, 3, 4}), OfGradient(nil, Sums{1, 2, 3, 5}),
	} {
		if j, twice := gradients[g]; twice {
			t.Errorf("gradients %d and %d have the same digest", i, j)
		}
		gradients[g] = i
	}
	chain := Chain0(Of(nil), Of(nil))
	if Next(chain, Gradient{}) == Next(chain, Gradient{1}) || Next(chain, Gradient{}) == Next(Sum{}, Gradient{}) || chain == Chain0(Of(nil), Sum{}) {
		t.Error("chains that must differ are equal")
	}
}

func TestTextAndBytes(t *testing.T) {
	s := Of([]byte("x"))
	if back, err := Parse(s.String()); err != nil || back != s {
		t.Errorf("%s reads back as %s, %v", s, back, err)
	}
	for _, bad := range []string{"", "00", s.String() + "00", strings.Repeat("g", 64)} {
		if _, err := Parse(bad); err == nil || !strings.Contains(err.Error(), "64 hex digits") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if back, ok := FromBytes(s[:]); !ok || back != s {
		t.Error("bytes do not read back")
	}
	if _, ok := FromBytes(s[:31]); ok {
		t.Error("31 bytes are taken for a digest")
	}
	if s.IsZero() || !(Sum{}).IsZero() {
		t.Error("IsZero")
	}
}

func BenchmarkTensors(b *testing.B) {
	v := Vector{"params", ramp(1 << 20)}
	b.SetBytes(4 << 20)
	for b.Loop() {
		Tensors("tag", v)
	}
}
