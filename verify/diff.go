package verify

import (
	"fmt"
	"iter"
	"slices"

	"convoy/api"
	"convoy/job"
)

// A Side is one of two records that are compared.
type Side struct {
	Recipe []byte                           // canonical; empty where it is not known
	Rows   iter.Seq2[*api.LedgerRow, error] // of the ledger, from step 0 on
}

// A Comparison is where two runs part. They are a and b below.
type Comparison struct {
	// Recipe are the keys in which the recipes differ. RecipesKnown tells whether
	// both recipes could be compared.
	Recipe       []job.KeyDifference
	RecipesKnown bool
	StepsA       int // that are recorded
	StepsB       int
	// First is the first step that differs, nil where no step that both have does.
	// The chains, which the recipe enters, are compared where the recipes are equal.
	// A state's digest is compared where both have it.
	First *Difference
}

// Equal reports whether nothing differs: of what both have recorded, all is one
// result.
func (c Comparison) Equal() bool { return len(c.Recipe) == 0 && c.First == nil }

// Common is how many steps both have.
func (c Comparison) Common() int { return min(c.StepsA, c.StepsB) }

// Diff compares two runs: their recipes, and step by step what came of them. Who
// computed a step, and when, is not compared.
func Diff(a, b Side) (Comparison, error) {
	c := Comparison{RecipesKnown: len(a.Recipe) > 0 && len(b.Recipe) > 0}
	var err error
	if c.RecipesKnown {
		if c.Recipe, err = job.Differences(a.Recipe, b.Recipe); err != nil {
			return c, err
		}
	}
	nextA, stopA := iter.Pull2(a.Rows)
	defer stopA()
	nextB, stopB := iter.Pull2(b.Rows)
	defer stopB()
	for {
		rowA, moreA, err := next(nextA, &c.StepsA)
		if err != nil {
			return c, err
		}
		rowB, moreB, err := next(nextB, &c.StepsB)
		if err != nil {
			return c, err
		}
		if !moreA && !moreB {
			return c, nil
		}
		if moreA && moreB && c.First == nil {
			c.First = part(rowA, rowB, c.RecipesKnown && len(c.Recipe) == 0)
		}
	}
}

// next pulls a row, which must be that of the step after the last.
func next(pull func() (*api.LedgerRow, error, bool), steps *int) (row *api.LedgerRow, more bool, err error) {
	row, err, more = pull()
	if !more || err != nil {
		return nil, false, err
	}
	if row.GetStep() != uint64(*steps) {
		return nil, false, fmt.Errorf("row of step %d where step %d is due", row.GetStep(), *steps)
	}
	*steps++
	return row, true, nil
}

// part returns what differs between two rows of one step, nil where nothing does.
func part(a, b *api.LedgerRow, chains bool) *Difference {
	fields := slices.DeleteFunc(compare(a, b), func(f Field) bool {
		return f.Name == resultChain && !chains || f.Name == stateDigest && (f.A == "" || f.B == "")
	})
	return differenceOf(int(a.GetStep()), fields)
}
