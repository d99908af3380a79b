package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A safetensors file is the header's length (8 bytes, little-endian), the header
// (a JSON object, padded with spaces), and the tensors' bytes without gaps.
// https://github.com/huggingface/safetensors, "Format".
const (
	lengthSize  = 8
	headerAlign = 8       // bytes
	maxHeader   = 1 << 24 // bytes; some 100,000 tensors
	maxDims     = 8
	metadataKey = "__metadata__"
)

// entry is one tensor of a header. Offsets count from the end of the header.
type entry struct {
	Name  string
	DType string
	Dims  []int
	Low   int64
	High  int64
	count int // elements
}

// elementSize is the number of bytes of an element, for the types that are read.
var elementSize = map[string]int64{"F32": 4, "I64": 8}

// header is a whole file but for the tensors' bytes.
type header struct {
	Meta    map[string]string
	Tensors []entry // in the order of their offsets
	Start   int64   // where the tensors' bytes begin in the file
}

// encode returns the file's beginning, header included: metadata in the order
// of its keys, tensors in the order given.
func (h *header) encode() ([]byte, error) {
	var b bytes.Buffer
	put := func(v any) error {
		text, err := json.Marshal(v)
		b.Write(text)
		return err
	}
	b.Write(make([]byte, lengthSize))
	b.WriteString(`{"` + metadataKey + `":`)
	if err := put(h.Meta); err != nil { // maps are encoded in the order of their keys
		return nil, err
	}
	for _, t := range h.Tensors {
		b.WriteByte(',')
		if err := put(t.Name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := put(description{t.DType, t.Dims, []int64{t.Low, t.High}}); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	for b.Len()%headerAlign != 0 {
		b.WriteByte(' ')
	}
	n := b.Len() - lengthSize
	if n > maxHeader {
		return nil, fmt.Errorf("a header of %d bytes: at most %d", n, maxHeader)
	}
	binary.LittleEndian.PutUint64(b.Bytes(), uint64(n))
	return b.Bytes(), nil
}

// description is a tensor's value in the JSON header.
type description struct {
	DType   string  `json:"dtype"`
	Shape   []int   `json:"shape"`
	Offsets []int64 `json:"data_offsets"`
}

// readHeader reads the header of a file of size bytes and checks everything that
// can be checked without the tensors: after it, every offset lies in the file,
// and memory in proportion to the file's size is enough to read it.
func readHeader(in io.ReaderAt, size int64) (*header, error) {
	var length [lengthSize]byte
	if size < lengthSize {
		return nil, fmt.Errorf("%d bytes are no safetensors file", size)
	}
	if _, err := in.ReadAt(length[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n < 2 || n > maxHeader || int64(n) > size-lengthSize {
		return nil, fmt.Errorf("a header of %d bytes in a file of %d is no safetensors file", n, size)
	}
	text := make([]byte, n)
	if _, err := in.ReadAt(text, lengthSize); err != nil {
		return nil, err
	}
	h, err := parseHeader(text)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	h.Start = lengthSize + int64(n)
	end := int64(0)
	for _, t := range h.Tensors {
		if t.Low != end {
			return nil, fmt.Errorf("header: tensor %q begins at byte %d, the one before it ends at %d", t.Name, t.Low, end)
		}
		end = t.High
	}
	if size != h.Start+end {
		return nil, fmt.Errorf("%d bytes of tensors where the header announces %d", size-h.Start, end)
	}
	return h, nil
}

// parseHeader reads the JSON. A name that comes twice is an error, which is why
// the object is not simply decoded into a map.
func parseHeader(text []byte) (*header, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("no JSON object")
	}
	h := &header{}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok || seen[name] {
			return nil, fmt.Errorf("name %v comes twice", t)
		}
		seen[name] = true
		if name == metadataKey {
			if err := d.Decode(&h.Meta); err != nil {
				return nil, fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		var v description
		if err := d.Decode(&v); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		e, err := v.entry(name)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		h.Tensors = append(h.Tensors, e)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	slices.SortStableFunc(h.Tensors, func(a, b entry) int { return cmp.Compare(a.Low, b.Low) })
	return h, nil
}

// entry checks that shape, type and offsets agree.
func (v description) entry(name string) (entry, error) {
	size, known := elementSize[v.DType]
	switch {
	case !known:
		return entry{}, fmt.Errorf("type %q: F32 and I64 are read", v.DType)
	case len(v.Offsets) != 2 || v.Offsets[0] < 0 || v.Offsets[1] <= v.Offsets[0]:
		return entry{}, fmt.Errorf("offsets %v", v.Offsets)
	case len(v.Shape) > maxDims:
		return entry{}, fmt.Errorf("%d dimensions: at most %d", len(v.Shape), maxDims)
	}
	bytes := v.Offsets[1] - v.Offsets[0]
	n := int64(1)
	for _, d := range v.Shape {
		if d < 1 || int64(d) > bytes/size/n {
			n = 0
			break
		}
		n *= int64(d)
	}
	if n*size != bytes {
		return entry{}, fmt.Errorf("shape %v of %s in %d bytes", v.Shape, v.DType, bytes)
	}
	return entry{name, v.DType, v.Shape, v.Offsets[0], v.Offsets[1], int(n)}, nil
}

// slotName is the name of a parameter's optimizer slot in the file.
func slotName(slot, parameter string) string { return slotPrefix + slot + "." + parameter }

const slotPrefix = "optimizer."

func isSlot(name string) bool { return strings.HasPrefix(name, slotPrefix) }
