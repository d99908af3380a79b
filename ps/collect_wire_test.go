package ps

import (
	"slices"
	"strings"
	"testing"

	"convoy/api"
	"convoy/floats"
	"convoy/job"
	"convoy/tree"
)

// Where sums are rounded for the wire so are those that the leader takes, and
// nothing smaller than a unit is taken.
func TestCollectionRounds(t *testing.T) {
	seq := job.Sequence{Train: 8, Test: 5, Epochs: 1, Batch: 8, MicroBatches: 8}
	c := newCollection(seq, 0, 2)
	c.unit, c.round = 2, true
	add := func(low, high uint32, data ...float32) error {
		_, _, err := c.add(0, "w", &api.Partial{Low: low, High: high, Chunks: 1, Examples: high - low}, data)
		return err
	}
	if err := add(0, 1, 1, 1); err == nil || !strings.Contains(err.Error(), "unit") {
		t.Errorf("half a unit: %v", err)
	}
	if nodes := c.missing(c.root(), nil); !slices.Equal(nodes, []tree.Node{{Low: 0, High: 8}}) {
		t.Errorf("missing %v", nodes)
	}
	// 256 + 1 lies half way between two bfloat16, and half of what it is rounded by
	// is not enough to round the next sum up.
	for _, err := range []error{add(0, 2, 256, 1), add(2, 4, 1, 1), add(4, 6, 1, 1), add(6, 8, 0, 1)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	total, shares := c.total()
	if !slices.Equal(total.data, []float32{256, 4}) || !floats.IsBF16(total.data) || len(shares) != 4 {
		t.Errorf("%v of %d shares, want 256 and 4", total.data, len(shares))
	}
}
