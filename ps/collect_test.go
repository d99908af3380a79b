package ps

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"convoy/api"
	"convoy/job"
	"convoy/state"
	"convoy/tree"
)

const collectFloats = 7

// drawStep draws a step of a sequence with few examples, so that micro-batches
// are often absent.
func drawStep(t *rapid.T) (job.Sequence, int) {
	seq := job.Sequence{
		Train: rapid.IntRange(1, 40).Draw(t, "train"), Test: rapid.IntRange(1, 20).Draw(t, "test"), Epochs: 1,
		Batch: rapid.IntRange(1, 20).Draw(t, "batch"), MicroBatches: 1 << rapid.IntRange(0, 5).Draw(t, "log M"),
	}
	return seq, rapid.IntRange(0, seq.Len()-1).Draw(t, "step")
}

// leafOf is the gradient of micro-batch i: floats whose sums depend on the order.
func leafOf(seq job.Sequence, step, i int, dst []float32) bool {
	for k := range dst {
		dst[k] = float32(math.Sqrt(float64(i*31+k*7+1))) - 3
	}
	return state.Examples(seq, step, i, i+1) > 0
}

// partialOf is a node as a worker computes it.
func partialOf(seq job.Sequence, step int, n tree.Node) ([]float32, state.Sums) {
	s := state.Sums{Examples: state.Examples(seq, step, n.Low, n.High)}
	s.Correct, s.Top5, s.Loss = s.Examples/3, s.Examples/2, nodeLoss(seq, step, n)
	if seq.At(step).Evaluation {
		return nil, s
	}
	scratch := make([][]float32, 8)
	for i := range scratch {
		scratch[i] = make([]float32, collectFloats)
	}
	data := make([]float32, collectFloats)
	tree.Sum(n, data, scratch, func(i int, dst []float32) bool { return leafOf(seq, step, i, dst) })
	return data, s
}

// nodeLoss adds up in tree order, as the gradient does.
func nodeLoss(seq job.Sequence, step int, n tree.Node) float64 {
	if n.Leaf() {
		return float64(state.Examples(seq, step, n.Low, n.High)) * math.Sqrt(float64(n.Low+2))
	}
	a, b := n.Children()
	return nodeLoss(seq, step, a) + nodeLoss(seq, step, b)
}

// piece is one chunk on its way.
type piece struct {
	worker string
	p      *api.Partial
	data   []float32
}

func pieces(seq job.Sequence, step int, n tree.Node, worker string, chunks int) (all []piece) {
	data, s := partialOf(seq, step, n)
	if data == nil {
		chunks = 1
	}
	for i := range chunks {
		low, high := state.Chunk(len(data), chunks, i)
		all = append(all, piece{worker, &api.Partial{
			Low: uint32(n.Low), High: uint32(n.High), Chunk: uint32(i), Chunks: uint32(chunks),
			LossSum: s.Loss, Correct: 0, Top5: 1, Examples: uint32(s.Examples),
		}, data[low:high]})
	}
	return all
}

// TestAnyCollectionGivesTheSameRoot: whoever computes which nodes, coarse and
// fine at once, in whatever order and how often they come.
func TestAnyCollectionGivesTheSameRoot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seq, step := drawStep(t)
		m := seq.MicroBatches
		var sent []piece
		send := func(n tree.Node, worker string) {
			if state.Examples(seq, step, n.Low, n.High) > 0 {
				sent = append(sent, pieces(seq, step, n, worker, rapid.IntRange(1, collectFloats).Draw(t, "chunks"))...)
			}
		}
		for low := 0; low < m; { // an assignment
			high := rapid.IntRange(low+1, m).Draw(t, "cut")
			for _, n := range tree.Cover(low, high) {
				send(n, string(rune('a'+low)))
			}
			low = high
		}
		for range rapid.IntRange(0, 4).Draw(t, "backups") {
			w := 1 << rapid.IntRange(0, 5).Draw(t, "width")
			if low := rapid.IntRange(0, m-1).Draw(t, "at") / w * w; low+w <= m {
				send(tree.Node{Low: low, High: low + w}, "z")
			}
		}
		sent = rapid.Permutation(append(sent, sent[:len(sent)/3]...)).Draw(t, "order")
		floats := collectFloats
		if seq.At(step).Evaluation {
			floats = 0
		}
		c := newCollection(seq, step, floats)
		for _, x := range sent {
			if _, _, err := c.add(0, x.worker, x.p, x.data); err != nil {
				t.Fatal(err)
			}
			checkMissing(t, c)
		}
		checkRoot(t, c)
	})
}

// checkMissing: missing names what no node covers, each micro-batch once, and
// nothing else.
func checkMissing(t *rapid.T, c *collection) {
	open := make([]bool, c.seq.MicroBatches)
	for i := range open {
		open[i] = state.Examples(c.seq, c.step, i, i+1) > 0
	}
	for n := range c.nodes {
		for i := n.Low; i < n.High; i++ {
			open[i] = false
		}
	}
	named := make([]bool, len(open))
	for _, n := range c.missing(c.root(), nil) {
		for i := n.Low; i < n.High; i++ {
			if state.Examples(c.seq, c.step, i, i+1) > 0 {
				if named[i] {
					t.Fatalf("micro-batch %d is named twice", i)
				}
				named[i] = true
			}
		}
	}
	if !slices.Equal(named, open) || c.complete(c.root()) == slices.Contains(open, true) {
		t.Fatalf("missing %v, want %v; complete %v", named, open, c.complete(c.root()))
	}
}

func checkRoot(t *rapid.T, c *collection) {
	root, shares := c.total()
	data, sums := root.data, root.sums
	want, wantSums := partialOf(c.seq, c.step, c.root())
	for i := range want {
		if math.Float32bits(want[i]) != math.Float32bits(data[i]) {
			t.Fatalf("float %d is %v, want %v", i, data[i], want[i])
		}
	}
	if len(data) != len(want) || sums.Examples != wantSums.Examples || sums.Loss != wantSums.Loss {
		t.Fatalf("%d floats, sums %+v, want %+v", len(data), sums, wantSums)
	}
	seen := make([]int, c.seq.MicroBatches)
	for _, s := range shares {
		for i := s.node.Low; i < s.node.High; i++ {
			seen[i]++
		}
	}
	for i, n := range seen {
		if n > 1 || (n == 0 && state.Examples(c.seq, c.step, i, i+1) > 0) {
			t.Fatalf("micro-batch %d is in %d shares", i, n)
		}
	}
}

// What is malformed is refused and leaves nothing behind.
func TestMalformedPartialsAreRefused(t *testing.T) {
	seq := job.Sequence{Train: 10, Test: 5, Epochs: 1, Batch: 10, MicroBatches: 4}
	for name, change := range map[string]func(x *piece){
		"no node":          func(x *piece) { x.p.Low, x.p.High = 1, 3 },
		"empty":            func(x *piece) { x.p.High = x.p.Low },
		"beyond M":         func(x *piece) { x.p.Low, x.p.High = 4, 8 },
		"huge":             func(x *piece) { x.p.Low, x.p.High = 1<<31, 1<<31+2 },
		"other examples":   func(x *piece) { x.p.Examples++ },
		"too many correct": func(x *piece) { x.p.Correct, x.p.Top5 = x.p.Examples+1, x.p.Examples+1 },
		"no top 5":         func(x *piece) { x.p.Correct, x.p.Top5 = 2, 1 },
		"no chunks":        func(x *piece) { x.p.Chunks = 0 },
		"chunks of air":    func(x *piece) { x.p.Chunks = collectFloats + 1 },
		"out of range":     func(x *piece) { x.p.Chunk = 2 },
		"short":            func(x *piece) { x.data = x.data[1:] },
		"long":             func(x *piece) { x.data = append(slices.Clone(x.data), 0) },
	} {
		c := newCollection(seq, 0, collectFloats)
		x := pieces(seq, 0, tree.Node{Low: 0, High: 2}, "w", 2)[0]
		change(&x)
		if n, fresh, err := c.add(0, x.worker, x.p, x.data); err == nil || n != 0 || fresh || len(c.nodes)+len(c.parts) != 0 {
			t.Errorf("%s: %d, %v, %v; %d nodes, %d parts", name, n, fresh, err, len(c.nodes), len(c.parts))
		}
	}
}

// FuzzPartial: no partial from outside breaks the collection.
func FuzzPartial(f *testing.F) {
	f.Add(uint32(0), uint32(2), uint32(0), uint32(1), uint32(5), 7)
	f.Add(uint32(1<<31), uint32(1), uint32(1<<31), uint32(1<<31), uint32(0), 0)
	seq := job.Sequence{Train: 10, Test: 5, Epochs: 1, Batch: 10, MicroBatches: 4}
	f.Fuzz(func(t *testing.T, low, high, chunk, chunks, examples uint32, floats int) {
		c := newCollection(seq, 0, collectFloats)
		p := &api.Partial{Low: low, High: high, Chunk: chunk, Chunks: chunks, Examples: examples}
		n, fresh, err := c.add(0, "w", p, make([]float32, min(max(floats, 0), 20)))
		if (err == nil) != fresh || (fresh && n != 1) || len(c.nodes)+len(c.parts) > 1 {
			t.Fatalf("%d, %v, %v; %d nodes, %d parts", n, fresh, err, len(c.nodes), len(c.parts))
		}
	})
}
