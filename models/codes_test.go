package models

import (
	"strings"
	"testing"
)

// TestDigitCodes prints the pictures, and holds their size and how far apart they
// are.
func TestDigitCodes(t *testing.T) {
	codes := digitCodes(10)
	if len(codes) != 10 || len(digitCodes(3)) != 3 || len(digitCodes(11)) != 10 {
		t.Fatalf("%d codes, want 10", len(codes))
	}
	for digit, code := range codes {
		if len(code) != 7*12 {
			t.Fatalf("code %d has %d values, want 84", digit, len(code))
		}
		var picture strings.Builder
		for i, v := range code {
			switch v {
			case 1:
				picture.WriteByte('#')
			case -1:
				picture.WriteByte('.')
			default:
				t.Fatalf("code %d has a %v", digit, v)
			}
			if i%7 == 6 {
				picture.WriteByte('\n')
			}
		}
		t.Logf("%d\n%s", digit, picture.String())
		if want := strings.TrimLeft(digitPictures[digit], "\n"); picture.String() != want {
			t.Errorf("code %d shows\n%s\nwant\n%s", digit, picture.String(), want)
		}
	}
	least, most := float32(1e9), float32(0)
	for i := range codes {
		for j := range i {
			var d float32
			for k := range codes[i] {
				d += (codes[i][k] - codes[j][k]) * (codes[i][k] - codes[j][k])
			}
			least, most = min(least, d), max(most, d)
		}
	}
	if least != 40 || most != 200 {
		t.Errorf("codes are %v to %v apart, want 40 to 200", least, most)
	}
}
