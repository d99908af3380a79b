package data

import (
	"bytes"
	"strings"
	"testing"
)

// small is a manifest that Check accepts.
func small() Manifest {
	shard := func(split string, first, count int) Shard {
		return Shard{SHA256: strings.Repeat("0a", 32), Bytes: shardBytes(6, count), Split: split, First: first, Count: count}
	}
	return Manifest{
		Name: "small", Train: 5, Test: 2, Classes: 2, ClassNames: []string{"<a>", "é"}, Channels: 1, Height: 2, Width: 3,
		PixelSums: []PixelSums{{Sum: 300, Squares: 5000}},
		Shards:    []Shard{shard(Train, 0, 3), shard(Train, 3, 2), shard(Test, 0, 2)},
	}
}

func TestManifest(t *testing.T) {
	m := small()
	got, err := ParseManifest(m.Canonical())
	if err != nil || got.Digest() != m.Digest() {
		t.Fatalf("parsed: %v, digest %v, want %v", err, got.Digest(), m.Digest())
	}
	// The digest is part of recipes: its form never changes.
	const want = "1401072d3bb7808536274ebc7c73f306a37e4995ed5ec9f3efcc77d85e9d6a5f"
	if got := m.Digest().String(); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

func TestManifestErrors(t *testing.T) {
	for want, change := range map[string]func(m *Manifest){
		`name ""`:               func(m *Manifest) { m.Name = "" },
		`name "../x"`:           func(m *Manifest) { m.Name = "../x" },
		"generator is -1":       func(m *Manifest) { m.Generator = -1 },
		"train is 0":            func(m *Manifest) { m.Train = 0 },
		"test is 0":             func(m *Manifest) { m.Test = 0 },
		"test is 1000000000":    func(m *Manifest) { m.Test = 1e9 },
		"classes is 65536":      func(m *Manifest) { m.Classes, m.ClassNames = 65536, nil },
		"channels is 0":         func(m *Manifest) { m.Channels = 0 },
		"height is 1000000":     func(m *Manifest) { m.Height = 1e6 },
		"width is -3":           func(m *Manifest) { m.Width = -3 },
		"images of 1 × 16384":   func(m *Manifest) { m.Height, m.Width = 1<<14, 1<<14 },
		"1 class names for 2":   func(m *Manifest) { m.ClassNames = m.ClassNames[:1] },
		`class name ""`:         func(m *Manifest) { m.ClassNames[1] = "" },
		"pixels of 0 channels":  func(m *Manifest) { m.PixelSums = nil },
		"pixels of 2 channels":  func(m *Manifest) { m.PixelSums = append(m.PixelSums, PixelSums{}) },
		"30 pixels of sum 7651": func(m *Manifest) { m.PixelSums[0] = PixelSums{Sum: 7651, Squares: 7651 * 255} },
		"no values from 0":      func(m *Manifest) { m.PixelSums[0] = PixelSums{Sum: 10, Squares: 2551} },
		"variance would be":     func(m *Manifest) { m.PixelSums[0] = PixelSums{Sum: 300, Squares: 2999} },
		"in a channel of the":   func(m *Manifest) { m.Train, m.Height, m.Width = 1<<28, 1<<13, 1<<10; m.Channels = 1 },
		"hold 5 training and 0": func(m *Manifest) { m.Shards = m.Shards[:2] },
		`split "valid"`:         func(m *Manifest) { m.Shards[2].Split = "valid" },
		"is no digest":          func(m *Manifest) { m.Shards[0].SHA256 = "0a" },
		"want lower case":       func(m *Manifest) { m.Shards[0].SHA256 = strings.Repeat("0A", 32) },
		"no gap":                func(m *Manifest) { m.Shards[1].First = 4 },
		"no overlap":            func(m *Manifest) { m.Shards[1].First = 2 },
		"after test":            func(m *Manifest) { m.Shards[1], m.Shards[2] = m.Shards[2], m.Shards[1] },
		"3 train examples":      func(m *Manifest) { m.Shards[1].Count = 3 },
		"0 train examples":      func(m *Manifest) { m.Shards[0].Count = 0 },
		"bytes for 3 examples":  func(m *Manifest) { m.Shards[0].Bytes++ },
		"at most 67108864": func(m *Manifest) {
			m.Train = 10_000_003
			m.Shards[1].Count, m.Shards[1].Bytes = 10_000_000, shardBytes(6, 10_000_000)
		},
	} {
		t.Run(want, func(t *testing.T) {
			m := small()
			change(&m)
			_, err := ParseManifest(m.Canonical())
			checkError(t, err, []string{want})
		})
	}
}

func TestManifestSpelling(t *testing.T) {
	canonical := small().Canonical()
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"no JSON":     {[]byte("shards"), "invalid character"},
		"truncated":   {canonical[:len(canonical)-1], "unexpected end"},
		"spaces":      {append(bytes.Clone(canonical), '\n'), "not in canonical form"},
		"unknown key": {bytes.Replace(canonical, []byte(`{`), []byte(`{"x":1,`), 1), "not in canonical form"},
		"twice":       {bytes.Replace(canonical, []byte(`{`), []byte(`{"name":"x",`), 1), "not in canonical form"},
		"other case":  {bytes.Replace(canonical, []byte(`"train"`), []byte(`"TRAIN"`), 1), "not in canonical form"},
		"fraction":    {bytes.Replace(canonical, []byte(`:5,`), []byte(`:5.5,`), 1), "manifest"},
		"long":        {make([]byte, MaxManifestBytes+1), "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseManifest(c.text)
			checkError(t, err, []string{c.want})
		})
	}
}

// FuzzManifest checks that what is accepted is spelled as Canonical spells it
// and describes shards of bounded size that cover the set.
func FuzzManifest(f *testing.F) {
	f.Add(small().Canonical())
	f.Add(digitsManifest)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Canonical(), b) {
			t.Errorf("%s is accepted as %s", b, m.Canonical())
		}
		examples := 0
		for _, s := range m.Shards {
			examples += s.Count
			if s.Bytes > MaxShardBytes || s.Digest().IsZero() && s.SHA256 != strings.Repeat("00", 32) {
				t.Errorf("shard %+v is accepted", s)
			}
		}
		if examples != m.Train+m.Test {
			t.Errorf("%d examples in shards, %d + %d in all", examples, m.Train, m.Test)
		}
	})
}
