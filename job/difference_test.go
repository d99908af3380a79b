package job

import (
	"slices"
	"strings"
	"testing"
)

func TestDifferences(t *testing.T) {
	digits := Data{Name: "digits", Manifest: strings.Repeat("ab", 32), Train: 60000, Test: 10000, Classes: 10, Channels: 1, Height: 28, Width: 28}
	recipe := func(d Data, overrides ...string) []byte {
		f := Default()
		for _, o := range overrides {
			if err := f.Set(o); err != nil {
				t.Fatal(err)
			}
		}
		return f.Recipe(d).Canonical()
	}
	other := digits
	other.Manifest, other.Train = strings.Repeat("cd", 32), 100
	older := strings.Replace(string(recipe(digits)), `"wire":"fp32"`, `"wire":"fp32","gone":[1,{"a":2}]`, 1)
	older = strings.Replace(older, `"seed":1,`, "", 1)
	for name, c := range map[string]struct {
		b    []byte
		want []KeyDifference
	}{
		"equal":          {recipe(digits), nil},
		"not arithmetic": {recipe(digits, "name=other", "checkpoint.every=5"), nil},
		"two keys":       {recipe(digits, "optimizer.lr=0.25", "seed=2"), []KeyDifference{{"optimizer.lr", "0.2", "0.25"}, {"seed", "1", "2"}}},
		"data":           {recipe(other), []KeyDifference{{"data.manifest", `"` + digits.Manifest + `"`, `"` + other.Manifest + `"`}, {"data.train", "60000", "100"}}},
		"another form":   {[]byte(older), []KeyDifference{{"gone", "", `[1,{"a":2}]`}, {"seed", "1", ""}}},
	} {
		got, err := Differences(recipe(digits), c.b)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "[]", `{"a":`, "7"} {
		if _, err := Differences(recipe(digits), []byte(bad)); err == nil {
			t.Errorf("%q is taken for a recipe", bad)
		}
	}
}
