package tree

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestNode(t *testing.T) {
	for _, n := range []Node{{0, 1}, {7, 8}, {0, 8}, {4, 6}, {4, 8}} {
		if !n.Valid(8) {
			t.Errorf("%v is a node of the tree over 8", n)
		}
	}
	for _, n := range []Node{{0, 0}, {1, 0}, {1, 3}, {0, 3}, {2, 6}, {0, 16}, {8, 9}, {-2, 0}, {-1, 0}, {math.MinInt, math.MaxInt}} {
		if n.Valid(8) {
			t.Errorf("%v is no node of the tree over 8", n)
		}
	}
	left, right := Node{8, 16}.Children()
	if left != (Node{8, 12}) || right != (Node{12, 16}) {
		t.Errorf("the children of [8,16) are %v and %v", left, right)
	}
	if (Node{0, 2}).Leaf() || !(Node{3, 4}).Leaf() || (Node{2, 4}).String() != "[2,4)" {
		t.Error("leaf or text of a node")
	}
}

// Cover gives valid nodes side by side, and no two neighbours could be one.
func TestCover(t *testing.T) {
	const m = 64
	for low := range m + 1 {
		for high := low; high <= m; high++ {
			nodes := Cover(low, high)
			at := low
			for i, n := range nodes {
				if n.Low != at || !n.Valid(m) {
					t.Fatalf("[%d,%d) is covered by %v", low, high, nodes)
				}
				if merged := (Node{at, n.High}); i > 0 {
					merged.Low = nodes[i-1].Low
					if merged.Valid(m) {
						t.Fatalf("[%d,%d): %v could be one", low, high, nodes)
					}
				}
				at = n.High
			}
			if at != high {
				t.Fatalf("[%d,%d) is covered by %v", low, high, nodes)
			}
		}
	}
}

// values are micro-batches of one float each; nil is an absent one. The values
// differ so much in size that every order of additions rounds differently.
func drawValues(t *rapid.T) []*float32 {
	values := make([]*float32, 1<<rapid.IntRange(0, 5).Draw(t, "log2 M"))
	for i := range values {
		if rapid.IntRange(0, 3).Draw(t, "there") > 0 {
			v := float32(math.Ldexp(rapid.Float64Range(-1, 1).Draw(t, "value"), rapid.IntRange(-20, 20).Draw(t, "exponent")))
			values[i] = &v
		}
	}
	return values
}

func scratchFor(n Node) (scratch [][]float32) {
	for w := n.High - n.Low; w > 1; w /= 2 {
		scratch = append(scratch, make([]float32, 1))
	}
	return scratch
}

func sum(n Node, values []*float32) (float32, bool) {
	dst := []float32{float32(math.NaN())}
	there := Sum(n, dst, scratchFor(n), func(i int, dst []float32) bool {
		if values[i] != nil {
			dst[0] = *values[i]
		}
		return values[i] != nil
	})
	return dst[0], there
}

// plainly is the definition, by recursion on lists.
func plainly(values []*float32) *float32 {
	if len(values) == 1 {
		return values[0]
	}
	a, b := plainly(values[:len(values)/2]), plainly(values[len(values)/2:])
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	c := *a + *b
	return &c
}

func TestSumIsTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := drawValues(t)
		want := plainly(values)
		got, there := sum(Node{0, len(values)}, values)
		if there != (want != nil) || there && math.Float32bits(got) != math.Float32bits(*want) {
			t.Fatalf("sum %v, %v, want %v", got, there, want)
		}
	})
}

// Whoever computes which range, and in whatever pieces, the root has the same
// bits: the nodes that cover each worker's range are the leaves of the rest.
func TestAnyAssignmentGivesTheSameRoot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := drawValues(t)
		m := len(values)
		cuts := rapid.SliceOfN(rapid.IntRange(0, m), 0, 5).Draw(t, "cuts")
		cuts = append(cuts, 0, m)
		slices.Sort(cuts)
		parts := map[Node]*float32{}
		for i := range cuts[1:] {
			for _, n := range Cover(cuts[i], cuts[i+1]) {
				parts[n] = nil
				if v, there := sum(n, values); there {
					parts[n] = &v
				}
			}
		}
		var finish func(n Node) *float32
		finish = func(n Node) *float32 {
			if v, found := parts[n]; found {
				return v
			}
			left, right := n.Children()
			return plainly([]*float32{finish(left), finish(right)})
		}
		want, there := sum(Node{0, m}, values)
		got := finish(Node{0, m})
		if there != (got != nil) || there && math.Float32bits(*got) != math.Float32bits(want) {
			t.Fatalf("cut at %v: %v, want %v", cuts, got, want)
		}
	})
}

// −0 beside an absent micro-batch stays −0; beside a zero it would not.
func TestAbsentIsNotZero(t *testing.T) {
	minus, zero := float32(math.Copysign(0, -1)), float32(0)
	for _, c := range []struct {
		values []*float32
		want   float32
	}{
		{[]*float32{&minus, nil}, minus},
		{[]*float32{nil, &minus}, minus},
		{[]*float32{nil, nil, nil, &minus}, minus},
		{[]*float32{&minus, &zero}, zero},
	} {
		got, there := sum(Node{0, len(c.values)}, c.values)
		if !there || math.Float32bits(got) != math.Float32bits(c.want) {
			t.Errorf("%v of %d: %v", got, len(c.values), there)
		}
	}
	if _, there := sum(Node{0, 4}, make([]*float32, 4)); there {
		t.Error("the sum of nothing is there")
	}
}

func TestAddPanicsOnLengths(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); got != "tree: add 2 floats to 3" {
			t.Errorf("panic %q", got)
		}
	}()
	Add(make([]float32, 3), make([]float32, 2))
}

func BenchmarkAdd(b *testing.B) {
	dst, v := make([]float32, 1<<14), make([]float32, 1<<14)
	b.SetBytes(3 * 4 << 14)
	for b.Loop() {
		Add(dst, v)
	}
}
