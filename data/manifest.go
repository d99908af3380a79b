package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"convoy/digest"
	"convoy/job"
)

// The two splits of a set.
const (
	Train = "train"
	Test  = "test"
)

// Limits on what a manifest may claim, so that one from outside cannot make a
// process allocate without bound.
const (
	MaxManifestBytes = 16 << 20 // of canonical JSON
	MaxShardBytes    = 64 << 20
	maxExamples      = 1 << 28
	maxClasses       = 1<<16 - 1 // a label takes two bytes in a shard; the last value is no label
	maxChannels      = 64
	maxSide          = 1 << 14    // pixels
	maxImageBytes    = 16<<20 - 1 // one example
)

// Manifest says what a data set holds, down to the digest of every shard. Its
// own digest is part of a job's recipe.
type Manifest struct {
	Name string `json:"name"` // of [a-z0-9-], at most 64
	// Generator is the version of the program that makes a built-in set, 0 for
	// a set read from files. Every process can make a built-in set itself, so
	// its shards need not be stored or sent.
	Generator  int      `json:"generator"`
	Train      int      `json:"train"` // examples
	Test       int      `json:"test"`  // examples
	Classes    int      `json:"classes"`
	ClassNames []string `json:"class_names,omitempty"` // one a class, or none
	Channels   int      `json:"channels"`
	Height     int      `json:"height"` // pixels
	Width      int      `json:"width"`  // pixels
	// Validation says how the test examples were set aside; nil where the set came
	// with them.
	Validation *Aside `json:"validation,omitempty"`
	// PixelSums has an entry for each channel.
	PixelSums []PixelSums `json:"pixel_sums"`
	Shards    []Shard     `json:"shards"` // the training examples in order, then the test examples
}

// Shard is one entry of a manifest: examples [First, First+Count) of a split.
type Shard struct {
	SHA256 string `json:"sha256"` // of the shard's bytes, 64 hex digits
	Bytes  int    `json:"bytes"`
	Split  string `json:"split"` // Train or Test
	First  int    `json:"first"`
	Count  int    `json:"count"`
}

// Digest is the shard's name in a Store. The manifest must have been checked.
func (s Shard) Digest() digest.Sum {
	sum, err := digest.Parse(s.SHA256)
	if err != nil {
		panic(fmt.Sprintf("data: digest of an unchecked shard: %v", err))
	}
	return sum
}

// ImageBytes is the size of one example's pixels: channels × height × width.
func (m Manifest) ImageBytes() int { return m.Channels * m.Height * m.Width }

// Builtin reports whether every process can make the set itself.
func (m Manifest) Builtin() bool { return m.Generator != 0 }

// Bytes is the size of all shards together.
func (m Manifest) Bytes() int64 {
	var n int64
	for _, s := range m.Shards {
		n += int64(s.Bytes)
	}
	return n
}

// Canonical returns the JSON that Digest is taken of.
func (m Manifest) Canonical() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // integers and strings always marshal
	}
	return b
}

// Digest names the data set by its content.
func (m Manifest) Digest() digest.Sum { return digest.Of(m.Canonical()) }

// ParseManifest reads what Canonical wrote, no other spelling of it, and checks
// everything that can be checked without the shards.
func ParseManifest(canonical []byte) (Manifest, error) {
	if len(canonical) > MaxManifestBytes {
		return Manifest{}, fmt.Errorf("manifest of %d bytes: at most %d are read", len(canonical), MaxManifestBytes)
	}
	var m Manifest
	if err := json.Unmarshal(canonical, &m); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w: import the data set again", err)
	}
	if err := m.Check(); err != nil {
		return Manifest{}, err
	}
	if !bytes.Equal(m.Canonical(), canonical) {
		return Manifest{}, fmt.Errorf("manifest of %q is not in canonical form: import the data set again", m.Name)
	}
	return m, nil
}

// Check reports the first thing that makes m no manifest.
func (m Manifest) Check() error {
	if err := m.checkShape(); err != nil {
		return err
	}
	if err := m.checkSums(); err != nil {
		return err
	}
	at := map[string]int{} // examples of a split listed so far
	for i, s := range m.Shards {
		if err := m.checkShard(s, at[s.Split]); err != nil {
			return fmt.Errorf("manifest of %q, shard %d: %w", m.Name, i, err)
		}
		if s.Split == Train && at[Test] > 0 {
			return fmt.Errorf("manifest of %q, shard %d: training examples after test examples", m.Name, i)
		}
		at[s.Split] += s.Count
	}
	if at[Train] != m.Train || at[Test] != m.Test {
		return fmt.Errorf("manifest of %q: shards hold %d training and %d test examples, want %d and %d",
			m.Name, at[Train], at[Test], m.Train, m.Test)
	}
	return nil
}

// checkShape is the part of Check that does not look at the shards.
func (m Manifest) checkShape() error {
	if !validName(m.Name) {
		return fmt.Errorf("manifest: name %q: want 1 to 64 characters of a to z, 0 to 9 and -", m.Name)
	}
	for _, bound := range []struct {
		what             string
		value, low, high int
	}{
		{"generator", m.Generator, 0, 1 << 30},
		{"train", m.Train, 1, maxExamples},
		{"test", m.Test, 1, maxExamples},
		{"classes", m.Classes, 1, maxClasses},
		{"channels", m.Channels, 1, maxChannels},
		{"height", m.Height, 1, maxSide},
		{"width", m.Width, 1, maxSide},
	} {
		if bound.value < bound.low || bound.value > bound.high {
			return fmt.Errorf("manifest of %q: %s is %d: want %d to %d", m.Name, bound.what, bound.value, bound.low, bound.high)
		}
	}
	if v := m.Validation; v != nil && (v.Of10000 < 1 || v.Of10000 >= ValidationUnit) {
		return fmt.Errorf("manifest of %q: %d of %d examples set aside: want less than all, and more than none", m.Name, v.Of10000, ValidationUnit)
	}
	if m.ImageBytes() > maxImageBytes {
		return fmt.Errorf("manifest of %q: images of %d × %d × %d: at most %d bytes each", m.Name, m.Channels, m.Height, m.Width, maxImageBytes)
	}
	if len(m.ClassNames) != 0 && len(m.ClassNames) != m.Classes {
		return fmt.Errorf("manifest of %q: %d class names for %d classes: want as many, or none", m.Name, len(m.ClassNames), m.Classes)
	}
	for _, name := range m.ClassNames {
		if name == "" || len(name) > 256 || !utf8.ValidString(name) {
			return fmt.Errorf("manifest of %q: class name %.80q: want 1 to 256 bytes of UTF-8", m.Name, name)
		}
	}
	return nil
}

// checkShard checks s, of whose split the examples before next are listed.
func (m Manifest) checkShard(s Shard, next int) error {
	total := m.Train
	switch s.Split {
	case Train:
	case Test:
		total = m.Test
	default:
		return fmt.Errorf("split %.80q: want %q or %q", s.Split, Train, Test)
	}
	if sum, err := digest.Parse(s.SHA256); err != nil {
		return err
	} else if sum.String() != s.SHA256 {
		return fmt.Errorf("digest %q: want lower case", s.SHA256)
	}
	if s.First != next {
		return fmt.Errorf("%s examples from %d follow those before %d: want no gap and no overlap", s.Split, s.First, next)
	}
	if s.Count < 1 || s.Count > total-s.First {
		return fmt.Errorf("%d %s examples from %d of %d", s.Count, s.Split, s.First, total)
	}
	if want := shardBytes(m.ImageBytes(), s.Count); s.Bytes != want || want > MaxShardBytes {
		return fmt.Errorf("%d bytes for %d examples: want %d, and at most %d", s.Bytes, s.Count, want, MaxShardBytes)
	}
	return nil
}

func validName(name string) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// ForRecipe is what a recipe says of the set.
func (m Manifest) ForRecipe() job.Data {
	return job.Data{
		Name: m.Name, Manifest: m.Digest().String(), Train: m.Train, Test: m.Test,
		Classes: m.Classes, Channels: m.Channels, Height: m.Height, Width: m.Width,
	}
}
