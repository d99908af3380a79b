package data

import (
	"context"
	"fmt"
	"testing"
)

// manyFiles is a folder without a split: 20 images of one class, 5 of another
// and 1 of a third; each image's pixel is its number.
func manyFiles(t testing.TB) string {
	files := map[string][]byte{"c/only.png": greyFile(t, 1, 1, 200)}
	for i := range 20 {
		files[fmt.Sprintf("a/%02d.png", i)] = greyFile(t, 1, 1, byte(i))
	}
	for i := range 5 {
		files[fmt.Sprintf("b/%02d.png", i)] = greyFile(t, 1, 1, byte(100+i))
	}
	return writeTree(t, files)
}

func TestSetAside(t *testing.T) {
	dir := manyFiles(t)
	seen := map[string]bool{}
	for _, c := range []struct {
		o    Options
		want [3]int // of each class
	}{
		{Options{}, [3]int{2, 1, 0}}, // 0.5 is rounded up, and a class keeps one
		{Options{Seed: 1}, [3]int{2, 1, 0}},
		{Options{Validation: 1}, [3]int{1, 1, 0}}, // at least one
		{Options{Validation: 2_500}, [3]int{5, 1, 0}},
		{Options{Validation: 9_999}, [3]int{19, 4, 0}}, // never all
		{Options{Shuffle: true}, [3]int{2, 1, 0}},
	} {
		s, err := openSource(context.Background(), "x", dir, c.o)
		if err != nil {
			t.Fatal(err)
		}
		set, err := s.resident(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := s.resident(context.Background()); err != nil || again.Manifest.Digest() != set.Manifest.Digest() {
			t.Errorf("%+v: a second time digest %s, %v", c.o, again.Manifest.Digest(), err)
		}
		var counts [3]int
		all := map[byte]int{}
		pixel := make([]byte, 1)
		for i := range set.Test.Len() {
			counts[set.Test.Example(i, pixel)]++
			all[pixel[0]]++
		}
		for i := range set.Train.Len() {
			set.Train.Example(i, pixel)
			all[pixel[0]]++
		}
		if counts != c.want || len(all) != 26 || set.Train.Len()+set.Test.Len() != 26 {
			t.Errorf("%+v: %v set aside, %d different examples in all, want %v and 26", c.o, counts, len(all), c.want)
		}
		seen[set.Manifest.Digest().String()] = true
		if v := set.Manifest.Validation; v == nil || v.Seed != c.o.Seed {
			t.Errorf("manifest says %+v", v)
		}
		if c.o == (Options{}) {
			if opened, err := Open("x", dir); err != nil || opened.Manifest.Digest() != set.Manifest.Digest() {
				t.Errorf("opened: %v", err)
			}
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d digests of 6 sets", len(seen))
	}
}
