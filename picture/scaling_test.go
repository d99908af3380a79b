package picture

import (
	"bytes"
	"testing"
)

func TestRates(t *testing.T) {
	rates := []Series{
		{Name: "1 replicas", Points: []Point{{1, 100}, {2, 180}, {4, 300}}, Low: []float64{90, 170, 280}, High: []float64{110, 190, 310}},
		{Name: "3 replicas", Points: []Point{{1, 95}}},
	}
	efficiency := []Series{{Name: "1 replicas", Points: []Point{{1, 1}, {2, 0.9}, {4, 0.75}}}, {Name: "3 replicas", Points: []Point{{1, 1}}}}
	first, err := Rates(rates, efficiency, "svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"1 replicas", "3 replicas", "images/s", "workers", "efficiency"} {
		if !bytes.Contains(first, []byte(text)) {
			t.Errorf("the picture lacks %q", text)
		}
	}
	if again, err := Rates(rates, efficiency, "svg"); err != nil || !bytes.Equal(first, again) {
		t.Errorf("the same figures give another picture: %v", err)
	}
	if _, err := Rates(rates, efficiency, "gif"); err == nil {
		t.Error("a gif was written")
	}
}
