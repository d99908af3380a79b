package verify

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"convoy/api"
)

func (r recorded) side() Side { return Side{r.recipe.Canonical(), each(r.rows)} }

func TestDiff(t *testing.T) {
	s, more := set(t, 50), set(t, 51)
	a := trained(t, s, recipe(t, s), asIs)
	b := func(overrides ...string) Side { return trained(t, s, recipe(t, s, overrides...), asIs).side() }
	tampered := trained(t, s, recipe(t, s), func(r *api.StepRow) {
		if r.Step == 17 {
			r.GradientDigest = make([]byte, 16)
		}
	})
	other := trained(t, more, recipe(t, more), asIs)
	longer := a.side()
	longer.Rows = each(a.rows[:20])
	unknown := b("seed=2")
	unknown.Recipe = nil
	for name, c := range map[string]struct {
		b      Side
		keys   string
		step   int // −1: none differs
		fields string
	}{
		"equal":                   {b(), "", -1, ""},
		"not as far":              {longer, "", -1, ""},
		"another seed":            {b("seed=2"), "seed", 0, "state_digest gradient_digest loss_sum"},
		"another learning rate":   {b("optimizer.lr=0.125"), "optimizer.lr", 1, "state_digest gradient_digest loss_sum"},
		"more epochs":             {b("epochs=4"), "epochs", -1, ""},
		"a rate that falls":       {b("schedule={type: step, milestones: [1], gamma: 0.5}"), "schedule.gamma schedule.milestones schedule.type", 9, "gradient_digest loss_sum"},
		"other data":              {other.side(), "data.manifest data.train", 0, "gradient_digest loss_sum"},
		"a step computed wrongly": {tampered.side(), "", 17, "gradient_digest chain"},
		"another seed, not known": {unknown, "", 0, "state_digest gradient_digest loss_sum"},
		"half the batch":          {b("batch=4"), "batch", 0, "gradient_digest loss_sum"},
	} {
		got, err := Diff(a.side(), c.b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var keys, fields []string
		for _, k := range got.Recipe {
			keys = append(keys, k.Key)
		}
		step := -1
		if d := got.First; d != nil {
			step = d.Step
			for _, f := range append([]Field{d.Field}, d.Others...) {
				fields = append(fields, f.Name)
			}
		}
		// Counts may be equal by chance.
		fields = slices.DeleteFunc(fields, func(f string) bool { return f == "correct" || f == "top5" || f == "examples" })
		if strings.Join(keys, " ") != c.keys || step != c.step || strings.Join(fields, " ") != c.fields {
			t.Errorf("%s: keys %v, fields %v of step %d, want %s, %s of %d", name, keys, fields, step, c.keys, c.fields, c.step)
		}
		if got.Equal() != (c.keys == "" && c.step < 0) || got.RecipesKnown != (len(c.b.Recipe) > 0) || got.StepsA != 24 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got, err := Diff(longer, a.side()); err != nil || got.StepsA != 20 || got.StepsB != 24 || got.Common() != 20 {
		t.Errorf("%+v, %v, want 20 of 24 steps", got, err)
	}
}

func TestDiffRefuses(t *testing.T) {
	s := set(t, 50)
	a := trained(t, s, recipe(t, s), asIs)
	gone := errors.New("gone")
	broken := a.side()
	broken.Rows = func(yield func(*api.LedgerRow, error) bool) {
		if yield(a.rows[0], nil) {
			yield(nil, gone)
		}
	}
	gap := a.side()
	gap.Rows = each(a.rows[1:])
	nonsense := a.side()
	nonsense.Recipe = []byte("?")
	for want, side := range map[string]Side{"gone": broken, "row of step 1 where step 0 is due": gap, "recipe: ": nonsense} {
		for _, pair := range [][2]Side{{a.side(), side}, {side, a.side()}} {
			if _, err := Diff(pair[0], pair[1]); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
}
