package state

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/digest"
)

// A keeper that is fed by the stream ends where the one that made the gradients
// is, evaluations included.
func TestKeeperFollows(t *testing.T) {
	leader, k := keeperAt(t, 0), keeperAt(t, 0)
	for leader.Step() < leader.Job().Sequence.Len() {
		g := nextGradient(leader)
		leader.Apply(g)
		if early, err := k.Next(); early != nil || err != nil {
			t.Fatalf("step %d: Next before anything came: %v, %v", k.Step(), early, err)
		}
		feed(t, k, g)
		got, err := k.Next()
		if err != nil || got == nil {
			t.Fatalf("step %d: %v, %v", k.Step(), got, err)
		}
		k.Apply(got)
		if k.Chain() != leader.Chain() || k.State().Digest() != leader.State().Digest() || k.Digest() != leader.Digest() {
			t.Fatalf("states %d differ", k.Step())
		}
		if k.Last() != got || len(k.Rows()) != k.Step() {
			t.Fatalf("step %d: last %v, %d rows", k.Step(), k.Last(), len(k.Rows()))
		}
	}
	if k.Digest().IsZero() {
		t.Error("the last state has no digest")
	}
}

// An evaluation is a step without a gradient: it leaves the state alone.
func TestEvaluationChangesNoState(t *testing.T) {
	k := keeperAt(t, 4)
	if !k.Job().Sequence.At(4).Evaluation || k.GradientLen(4) != 0 || k.GradientLen(3) != testFloats {
		t.Fatal("step 4 should be the evaluation")
	}
	before, chain, sum := k.State().Digest(), k.Chain(), k.Digest()
	feed(t, k, nextGradient(k))
	g, err := k.Next()
	if err != nil || g == nil {
		t.Fatal(g, err)
	}
	k.Apply(g)
	if k.State().Digest() != before || k.Digest() != sum || sum != before || k.Chain() == chain {
		t.Error("the state or its digest changed, or the chain did not")
	}
}

func TestNextRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(g *Gradient)
		want   string
	}{
		"another chain":        {func(g *Gradient) { g.Row.Chain[0]++ }, "its chain is"},
		"no chain":             {func(g *Gradient) { g.Row.Chain = nil }, "its chain is"},
		"a flipped bit":        {func(g *Gradient) { g.Data[3] = math.Float32frombits(math.Float32bits(g.Data[3]) ^ 1) }, "its digest"},
		"another loss":         {func(g *Gradient) { g.Row.LossSum++ }, "its digest"},
		"another digest":       {func(g *Gradient) { g.Row.GradientDigest[0]++ }, "its digest"},
		"another next chain":   {func(g *Gradient) { g.Row.ChainNext[0]++ }, "next chain"},
		"a short next chain":   {func(g *Gradient) { g.Row.ChainNext = g.Row.ChainNext[:31] }, "next chain"},
		"another state digest": {func(g *Gradient) { g.Row.StateDigest[0]++ }, "differs from the leader's"},
		"another rate":         {func(g *Gradient) { g.Row.LearningRate *= 2 }, "learning rate"},
		"no clip factor":       {func(g *Gradient) { g.Row.ClipFactor = 0 }, "clip factor"},
		"not clipped":          {func(g *Gradient) { g.Row.ClipFactor = 1 }, "clip factor"},
		"no number":            {func(g *Gradient) { g.Row.ClipFactor = float32(math.NaN()) }, "clip factor"},
		"top 5 below correct":  {func(g *Gradient) { resum(g, 3, 2, 10) }, "within the top 5"},
		"top 5 above all":      {func(g *Gradient) { resum(g, 3, 11, 10) }, "within the top 5"},
		"too many chunks":      {func(g *Gradient) { g.Row.Chunks = testFloats + 1 }, "chunks"},
		"an unknown worker":    {func(g *Gradient) { g.Row.Shares = []*api.Share{{Worker: 1, High: 1}} }, "micro-batches"},
		"a share beyond M":     {func(g *Gradient) { g.Row.Workers, g.Row.Shares = []string{"w"}, []*api.Share{{High: 5}} }, "micro-batches"},
	} {
		t.Run(name, func(t *testing.T) {
			k := keeperAt(t, 1)
			good := nextGradient(k)
			bad := &Gradient{Row: proto.CloneOf(good.Row), Data: slices.Clone(good.Data)}
			c.change(bad)
			before := k.State().Digest()
			feed(t, k, bad)
			if g, err := k.Next(); g != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, %v, want an error with %q", g, err, c.want)
			} else if errors.Is(err, ErrStateDiffers) != slices.Contains([]string{"another state digest", "another chain", "no chain"}, name) {
				t.Errorf("ErrStateDiffers: %v", err)
			}
			if g, err := k.Next(); g != nil || err != nil || k.State().Digest() != before {
				t.Errorf("the bad gradient has left traces: %v, %v", g, err)
			}
			feed(t, k, good)
			if g, err := k.Next(); g == nil || err != nil {
				t.Errorf("the good one is refused afterwards: %v, %v", g, err)
			}
		})
	}
}

// resum gives a gradient of the second step other counts, and their digests.
func resum(g *Gradient, correct, top5, examples int) {
	sums := Sums{Loss: g.Row.LossSum, Correct: correct, Top5: top5, Examples: examples}
	sum := digest.OfGradient(g.Data, sums)
	next := digest.Next(digest.Sum(g.Row.Chain), sum)
	g.Row.GradientDigest, g.Row.ChainNext = sum[:], next[:]
	g.Row.Correct, g.Row.Top5, g.Row.Examples = uint32(correct), uint32(top5), uint32(examples)
}

// Chunks of another run, of steps that are done or far away, and repeated ones
// are dropped without an error; malformed ones with one.
func TestAddChunkDrops(t *testing.T) {
	k := keeperAt(t, 2)
	g := nextGradient(k)
	add := func(change func(c *api.Gradient)) (int, error) {
		c, data := chunk(g, 0)
		change(c)
		return k.AddChunk(c, data)
	}
	for name, change := range map[string]func(c *api.Gradient){
		"another run": func(c *api.Gradient) { c.RecipeHash = make([]byte, 32) },
		"done":        func(c *api.Gradient) { c.Step = 1 },
		"far ahead":   func(c *api.Gradient) { c.Step = 2 + MaxAhead + 1 },
		"no such":     func(c *api.Gradient) { c.Step = 10 },
		"overflowing": func(c *api.Gradient) { c.Step = math.MaxUint64 },
	} {
		if n, err := add(change); n != 0 || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	for name, change := range map[string]func(c *api.Gradient){
		"no chunks":       func(c *api.Gradient) { c.Chunks = 0 },
		"too many chunks": func(c *api.Gradient) { c.Chunks = MaxChunks + 1 },
		"out of range":    func(c *api.Gradient) { c.Chunk = 3 },
		"misplaced":       func(c *api.Gradient) { c.Chunk = 2 },
		"for evaluation":  func(c *api.Gradient) { c.Step = 4 },
	} {
		if n, err := add(change); n != 0 || err == nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	same := func(*api.Gradient) {}
	for range 2 {
		if n, err := add(same); n != 1 || err != nil {
			t.Errorf("a good chunk, and again: %d, %v", n, err)
		}
	}
	if len(k.incoming) > MaxAhead+1 {
		t.Errorf("%d steps are buffered", len(k.incoming))
	}
}

// Another leader may cut the gradient otherwise; what it sends counts anew.
func TestAnotherCutBeginsAnew(t *testing.T) {
	k := keeperAt(t, 0)
	g := nextGradient(k)
	c, data := chunk(g, 0)
	if _, err := k.AddChunk(c, data); err != nil {
		t.Fatal(err)
	}
	whole := &api.Gradient{RecipeHash: g.Row.RecipeHash, Chunks: 1}
	if n, err := k.AddChunk(whole, g.Data); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	k.AddRow(g.Row)
	if got, err := k.Next(); got == nil || err != nil {
		t.Error(got, err)
	}
}

// A fetched gradient stands in for the stream's; one of the wrong length or step
// is dropped.
func TestAddGradient(t *testing.T) {
	k := keeperAt(t, 1)
	g := nextGradient(k)
	k.AddGradient(&Gradient{Row: g.Row, Data: g.Data[1:]})
	old := proto.CloneOf(g.Row)
	old.Step = 0
	k.AddGradient(&Gradient{Row: old, Data: g.Data})
	if got, err := k.Next(); got != nil || err != nil {
		t.Fatalf("a short or old gradient is taken: %v, %v", got, err)
	}
	k.AddGradient(g)
	if got, err := k.Next(); got == nil || err != nil {
		t.Error(got, err)
	}
}

// Adopt moves to a fetched state and keeps the gradients that came meanwhile.
func TestAdoptKeepsWhatArrived(t *testing.T) {
	leader, k := keeperAt(t, 2), keeperAt(t, 0)
	leader.Committed(1)
	fetched := leader.Copy()
	g := nextGradient(leader)
	feed(t, k, g)
	k.Adopt(fetched.State, fetched.Step, fetched.Chain, fetched.Rows)
	if k.Step() != 2 || k.Chain() != leader.Chain() || k.Digest() != leader.Digest() || k.Last() != nil || len(k.Rows()) != 1 {
		t.Fatalf("adopted step %d, last %v, %d rows", k.Step(), k.Last(), len(k.Rows()))
	}
	got, err := k.Next()
	if got == nil || err != nil {
		t.Fatal(got, err)
	}
	k.Apply(got)
	leader.Apply(g)
	if k.State().Digest() != leader.State().Digest() || len(k.Rows()) != 2 || k.Rows()[0].Step != 1 {
		t.Errorf("after the gradient: rows %v", k.Rows())
	}
}

// Committed lets go of rows from the front, however often it is told.
func TestCommitted(t *testing.T) {
	k := keeperAt(t, 4)
	for _, n := range []int{0, 1, 1, 3, 2, 9} {
		k.Committed(n)
		want := max(0, 4-n)
		if n == 2 {
			want = 1 // what is gone is gone
		}
		if len(k.Rows()) != want || (want > 0 && int(k.Rows()[0].Step) != 4-want) {
			t.Errorf("committed %d: rows %v", n, k.Rows())
		}
	}
}

func TestApplyRefusesAnotherStep(t *testing.T) {
	k := keeperAt(t, 1)
	g := nextGradient(k)
	k.Apply(g)
	defer func() {
		if recover() == nil {
			t.Error("the same gradient is applied twice")
		}
	}()
	k.Apply(g)
}

// FuzzAddChunk: whatever comes off the stream, the state is touched by the true
// gradient alone.
func FuzzAddChunk(f *testing.F) {
	f.Add(uint64(0), uint32(0), uint32(3), []byte{1, 2, 3})
	f.Add(uint64(4), uint32(0), uint32(1), []byte{})
	f.Add(uint64(1<<63), uint32(1<<31), uint32(1<<31), []byte{9})
	f.Fuzz(func(t *testing.T, step uint64, i, chunks uint32, data []byte) {
		k := keeperAt(t, 0)
		before := k.State().Digest()
		floats := make([]float32, len(data))
		for i, b := range data {
			floats[i] = float32(b)
		}
		hash := k.Job().Hash
		_, _ = k.AddChunk(&api.Gradient{RecipeHash: hash[:], Step: step, Chunk: i, Chunks: chunks}, floats)
		k.AddRow(&api.StepRow{RecipeHash: hash[:], Step: step, Chain: data, ChainNext: data, GradientDigest: data, StateDigest: data})
		if g, err := k.Next(); g != nil {
			t.Fatalf("taken for a gradient: %v, %v", g, err)
		}
		feed(t, k, nextGradient(k))
		g, err := k.Next()
		if g == nil || err != nil { // the bad chunk may have stood in for a good one: once more
			feed(t, k, nextGradient(k))
			g, err = k.Next()
		}
		if g == nil || err != nil || k.State().Digest() != before {
			t.Fatalf("the true gradient is not taken: %v, %v", g, err)
		}
	})
}

func TestExamples(t *testing.T) {
	seq := testJob().Sequence
	for step := range seq.Len() {
		sum := 0
		for m := range seq.MicroBatches {
			sum += Examples(seq, step, m, m+1)
		}
		want := map[bool]int{true: 5, false: 10}[seq.At(step).Evaluation]
		if step%5 == 3 {
			want = 7 // the last, small batch
		}
		if all := Examples(seq, step, 0, seq.MicroBatches); sum != want || all != want {
			t.Errorf("step %d: %d in micro-batches, %d in all, want %d", step, sum, all, want)
		}
	}
}

func TestNewRowNamesTheState(t *testing.T) {
	k := keeperAt(t, 0)
	row := k.NewRow([]float32{1}, Sums{Loss: 2, Correct: 1, Top5: 2, Examples: 3})
	sum := digest.OfGradient([]float32{1}, Sums{Loss: 2, Correct: 1, Top5: 2, Examples: 3})
	next := digest.Next(k.Chain(), sum)
	if string(row.GradientDigest) != string(sum[:]) || string(row.ChainNext) != string(next[:]) || len(row.StateDigest) != 32 {
		t.Errorf("row %v", row)
	}
	if row := keeperAt(t, 6).NewRow(nil, Sums{}); len(row.StateDigest) != 0 {
		t.Error("state 6 has a digest, which is not due")
	}
}
