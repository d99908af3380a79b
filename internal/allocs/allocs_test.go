package allocs

import "testing"

var kept []byte

func TestSteady(t *testing.T) {
	if n := Steady(func() { kept = make([]byte, 1000) }); n != 1 {
		t.Errorf("one allocation is counted as %v", n)
	}
	if n := Steady(func() { kept[0]++ }); n != 0 {
		t.Errorf("none is counted as %v", n)
	}
	if n := Few(func() { kept = make([]byte, 1000) }); n != 1 {
		t.Errorf("Few counts one allocation as %v", n)
	}
	if n := Few(func() { kept[0]++ }); n != 0 {
		t.Errorf("Few counts none as %v", n)
	}
}
