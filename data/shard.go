package data

import (
	"encoding/binary"
	"fmt"

	"convoy/digest"
)

// A shard is, all numbers little-endian:
//
//	8 bytes   "convoyS1"
//	uint32    split: 0 training, 1 test
//	uint32    index of the first example in its split
//	uint32    count
//	uint32    channels, height, width
//	          count × channels × height × width bytes of pixels
//	          count × uint16 of labels
const (
	shardMagic  = "convoyS1"
	shardHeader = len(shardMagic) + 6*4
	// shardTarget keeps a shard within the 4 MiB that gRPC takes in one message.
	shardTarget = 4_000_000
)

// shardBytes is the size of a shard of count images of size bytes each.
func shardBytes(size, count int) int { return shardHeader + count*(size+2) }

// decodeShard checks b against its entry s of manifest m and returns its parts:
// pixels, and labels of two bytes each, both windows of b.
func decodeShard(b []byte, m Manifest, s Shard) (pixels, labels []byte, err error) {
	if len(b) != s.Bytes || len(b) != shardBytes(m.ImageBytes(), s.Count) {
		return nil, nil, fmt.Errorf("shard %.8s of %q has %d bytes, want %d: fetch it again", s.SHA256, m.Name, len(b), s.Bytes)
	}
	if sum := digest.Of(b); sum.String() != s.SHA256 {
		return nil, nil, fmt.Errorf("shard %.8s of %q has content %.8s: it was damaged, fetch it again", s.SHA256, m.Name, sum)
	}
	if string(b[:shardHeader]) != string(shardHeaderOf(m, s)) {
		return nil, nil, fmt.Errorf("shard %.8s of %q is not what its manifest says: import the data set again", s.SHA256, m.Name)
	}
	if err := checkLabels(b, m, s); err != nil {
		return nil, nil, err
	}
	pixels, labels = shardParts(b, m.ImageBytes(), s.Count)
	return pixels, labels, nil
}

func shardHeaderOf(m Manifest, s Shard) []byte {
	b := append(make([]byte, 0, shardHeader), shardMagic...)
	split := uint32(0)
	if s.Split == Test {
		split = 1
	}
	b = binary.LittleEndian.AppendUint32(b, split)
	for _, v := range []int{s.First, s.Count, m.Channels, m.Height, m.Width} {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return b
}

func shardParts(b []byte, size, count int) (pixels, labels []byte) {
	return b[shardHeader : shardHeader+count*size], b[shardHeader+count*size:]
}

func checkLabels(b []byte, m Manifest, s Shard) error {
	_, labels := shardParts(b, m.ImageBytes(), s.Count)
	for i := range s.Count {
		if label := int(binary.LittleEndian.Uint16(labels[2*i:])); label >= m.Classes {
			return fmt.Errorf("%s example %d of %q has label %d: want 0 to %d", s.Split, s.First+i, m.Name, label, m.Classes-1)
		}
	}
	return nil
}

// MaxResidentBytes bounds what FromShards holds in memory.
const MaxResidentBytes = 8 << 30

// FromShards makes a set of shards that get returns by digest: from a Store, or
// from a cluster. It calls get once for each shard, in the manifest's order,
// checks each and holds all of them in memory, so that reading an example
// cannot fail. The bytes that get returns belong to the set from then on.
func FromShards(m Manifest, get func(sha digest.Sum) ([]byte, error)) (*Set, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if n := m.Bytes(); n > MaxResidentBytes {
		return nil, fmt.Errorf("data set %q has %d bytes: at most %d are held in memory, use a smaller set", m.Name, n, int64(MaxResidentBytes))
	}
	train, test := &resident{size: m.ImageBytes()}, &resident{size: m.ImageBytes()}
	for _, s := range m.Shards {
		b, err := get(s.Digest())
		if err != nil {
			return nil, fmt.Errorf("shard %.8s of %q: %w", s.SHA256, m.Name, err)
		}
		pixels, labels, err := decodeShard(b, m, s)
		if err != nil {
			return nil, err
		}
		split := train
		if s.Split == Test {
			split = test
		}
		split.parts = append(split.parts, part{s.First, pixels, labels})
		split.n += s.Count
	}
	return &Set{Manifest: m, Train: train, Test: test}, nil
}

// resident is a split held in memory, in parts of any length.
type resident struct {
	size, n int
	parts   []part
}

type part struct {
	first          int
	pixels, labels []byte // labels of two bytes each
}

func (r *resident) Len() int { return r.n }

func (r *resident) Example(i int, pixels []byte) int {
	low, high := 0, len(r.parts) // the last part that begins at or before i
	for high-low > 1 {
		if mid := (low + high) / 2; r.parts[mid].first <= i {
			low = mid
		} else {
			high = mid
		}
	}
	p := r.parts[low]
	return p.example(i-p.first, r.size, pixels)
}

// example writes the part's example i, of size bytes, and returns its label.
func (p part) example(i, size int, pixels []byte) (label int) {
	copy(pixels[:size], p.pixels[i*size:(i+1)*size])
	return int(binary.LittleEndian.Uint16(p.labels[2*i:]))
}
