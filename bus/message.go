package bus

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/digest"
	"convoy/floats"
)

// Message is an envelope and, behind a Partial or a Gradient, floats. Nobody
// changes a message once it is published: receivers in the same process share
// its memory with the sender.
type Message struct {
	*api.Envelope
	Data []float32
}

// MaxPayload is the length of the longest frame in bytes; nats-server has to be
// set up to take it.
const MaxPayload = 2 << 20

// A frame begins with the length of the head and its checksum.
const (
	lengthBytes = 4
	prefixBytes = lengthBytes + 8
)

// New joins an envelope and its floats, and sets the checksum in the envelope's
// Partial or Gradient.
func New(e *api.Envelope, data []float32) Message {
	switch body := e.GetBody().(type) {
	case *api.Envelope_Partial:
		body.Partial.Checksum = digest.Chunk(data)
	case *api.Envelope_Gradient:
		body.Gradient.Checksum = digest.Chunk(data)
	}
	return Message{Envelope: e, Data: data}
}

// bulk reports whether m is of the kind that carries floats.
func (m Message) bulk() bool { return m.GetPartial() != nil || m.GetGradient() != nil }

// width is the number of bytes that a float of m takes in a frame.
func (m Message) width() int {
	if m.GetBf16() {
		return 2
	}
	return 4
}

// Check reports what is wrong with m as a whole: no body, floats where none
// belong, a frame longer than MaxPayload, floats that differ from the checksum,
// or more than bfloat16 where the head says so. It says nothing about what the
// fields mean.
func (m Message) Check() error {
	if m.Envelope == nil || m.Body == nil {
		return errors.New("the message has no body")
	}
	if total := prefixBytes + proto.Size(m.Envelope) + m.width()*len(m.Data); total > MaxPayload {
		return fmt.Errorf("a message of %d bytes is longer than %d: send smaller chunks", total, MaxPayload)
	}
	var want uint64
	switch {
	case m.GetPartial() != nil:
		want = m.GetPartial().Checksum
	case m.GetGradient() != nil:
		want = m.GetGradient().Checksum
	case len(m.Data) > 0:
		return fmt.Errorf("%d floats follow a message of kind %T", len(m.Data), m.Body)
	default:
		return nil
	}
	if m.GetBf16() && !floats.IsBF16(m.Data) {
		return errors.New("floats that are no bfloat16 follow a head that says they are: round them first")
	}
	if got := digest.Chunk(m.Data); got != want {
		return fmt.Errorf("checksum of %d floats is %016x, the head says %016x: build messages with bus.New", len(m.Data), got, want)
	}
	return nil
}

// Encode appends m's frame to b: the length of the head as 4 bytes, the head's
// xxh3 as 8, the head (an Envelope), the floats, of bfloat16 where the head says so
// the upper halves; all little-endian. The floats' checksum is in the head, so that
// no bit can change unnoticed.
func Encode(b []byte, m Message) ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	return appendFrame(b, m)
}

// appendFrame is Encode for a message that was checked.
func appendFrame(b []byte, m Message) ([]byte, error) {
	start := len(b)
	b = append(b, make([]byte, prefixBytes)...)
	b, err := proto.MarshalOptions{}.MarshalAppend(b, m.Envelope)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	head := b[start+prefixBytes:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(head)))
	binary.LittleEndian.PutUint64(b[start+lengthBytes:], digest.Bytes(head))
	if m.GetBf16() {
		return floats.AppendBF16(b, m.Data), nil
	}
	return append(b, floats.Bytes(m.Data)...), nil
}

// Decode reads a frame that Encode wrote. The message shares no memory with
// frame. Whatever the bytes are, the result is a message that passes Check or
// an error.
func Decode(frame []byte) (Message, error) {
	if len(frame) < prefixBytes || len(frame) > MaxPayload {
		return Message{}, fmt.Errorf("a frame of %d bytes: want %d to %d", len(frame), prefixBytes, MaxPayload)
	}
	head, rest := binary.LittleEndian.Uint32(frame), frame[prefixBytes:]
	if uint64(head) > uint64(len(rest)) {
		return Message{}, fmt.Errorf("a head of %d bytes in a frame of %d", head, len(frame))
	}
	if got, want := digest.Bytes(rest[:head]), binary.LittleEndian.Uint64(frame[lengthBytes:]); got != want {
		return Message{}, fmt.Errorf("checksum of a head of %d bytes is %016x, the frame says %016x: it was changed on its way", head, got, want)
	}
	m := Message{Envelope: new(api.Envelope)}
	if err := proto.Unmarshal(rest[:head], m.Envelope); err != nil {
		return Message{}, fmt.Errorf("decode head: %w", err)
	}
	decode := floats.Decode
	if m.GetBf16() {
		decode = floats.DecodeBF16
	}
	var err error
	if m.Data, err = decode(rest[head:]); err != nil {
		return Message{}, fmt.Errorf("behind the head: %w", err)
	}
	if err := m.Check(); err != nil {
		return Message{}, err
	}
	return m, nil
}
