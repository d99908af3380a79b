package report

import (
	"testing"
	"time"
)

func TestNumber(t *testing.T) {
	for want, c := range map[string]struct {
		x      float64
		digits int
	}{
		"61235": {61234.5678, 4}, "2345": {2345.4, 4}, "34.81": {34.812, 4}, "4.07": {4.068, 3}, "0.82": {0.823, 3}, "0.00": {0, 3},
	} {
		if got := Number(c.x, c.digits); got != want {
			t.Errorf("%g with %d digits: %s, want %s", c.x, c.digits, got, want)
		}
	}
}

func TestParseBusy(t *testing.T) {
	text := "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 2 30 1000 50 1 2 5 0 0\ncpu1 1 0 0 0 0 0 0 0 0 0\nintr 1\n"
	if sum, ok := parseBusy(text, 1); !ok || sum != 1400*time.Millisecond {
		t.Errorf("%v, %v", sum, ok)
	}
	if _, ok := parseBusy("", 1); ok {
		t.Error("nothing was read")
	}
}

func TestQuietly(t *testing.T) {
	s := Machine{Threads: 0} // no core is waited for
	calls := 0
	noisy := func(int) (string, float64, error) { calls++; return "text", 1 - float64(calls)*0.3, nil }
	if text, others, err := s.Quietly(noisy); text != "text" || calls != 3 || others > quiet || err != nil {
		t.Errorf("%q after %d calls with %g, %v", text, calls, others, err)
	}
	always := func(int) (string, float64, error) { calls++; return "text", 1, nil }
	if _, _, err := s.Quietly(always); err == nil || calls != 3+patience {
		t.Errorf("%d calls, %v", calls, err)
	}
	s.Disturbed = true
	if text, _, err := s.Quietly(always); text != "text" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
