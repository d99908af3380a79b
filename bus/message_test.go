package bus

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/digest"
	"convoy/floats"
)

// chunk is chunk number i of a gradient, of n floats that differ in every bit
// pattern worth carrying: NaN with a payload, both zeros, a denormal.
func chunk(from string, i uint32, n int) Message {
	data := make([]float32, n)
	for k := range data {
		data[k] = math.Float32frombits(0x3f800000 + i<<10 + uint32(k))
	}
	special := []uint32{0x7fc12345, 0x80000000, 0, 1, 0xff800000}
	for k := range min(n, len(special)) {
		data[k] = math.Float32frombits(special[k])
	}
	return New(&api.Envelope{
		Body: &api.Envelope_Gradient{Gradient: &api.Gradient{
			RecipeHash: bytes.Repeat([]byte{7}, 32), Step: 41, Chunk: i, Chunks: 1000,
		}},
		Term: 3, Job: "lenet-7", From: from,
	}, data)
}

func plan(version uint64) Message {
	return New(&api.Envelope{
		Body: &api.Envelope_Plan{Plan: &api.Plan{Version: version, Leader: "c1", High: 8}}, From: "c1",
	}, nil)
}

// everyKind is one message of each kind.
func everyKind() []Message {
	partial := &api.Partial{Step: 9, Low: 4, High: 8, Chunks: 2, LossSum: math.Inf(1), Correct: 5, Examples: 128, Top5: 9}
	return []Message{
		New(&api.Envelope{Body: &api.Envelope_Hello{Hello: &api.Hello{Incarnation: "a", Leaving: true}}}, nil),
		plan(1),
		New(&api.Envelope{Body: &api.Envelope_Want{Want: &api.Want{Step: 3, Low: 2, High: 4}}}, nil),
		New(&api.Envelope{Body: &api.Envelope_Partial{Partial: partial}}, []float32{1, 2, 3}),
		New(&api.Envelope{Body: &api.Envelope_Partial{Partial: &api.Partial{Chunks: 1}}}, nil), // an evaluation
		chunk("c1", 0, 1000),
		New(&api.Envelope{Bf16: true, Body: &api.Envelope_Partial{Partial: &api.Partial{Low: 4, High: 8, Chunks: 1}}}, []float32{1, -2.5, float32(math.Inf(-1)), 0x1p-126}),
		New(&api.Envelope{Body: &api.Envelope_Row{Row: &api.StepRow{Step: 4, Chain: make([]byte, 32)}}}, nil),
		New(&api.Envelope{Body: &api.Envelope_Ack{Ack: &api.Ack{Replica: "c2", Received: 7}}}, nil),
		New(&api.Envelope{Body: &api.Envelope_Head{Head: &api.Head{Leader: "c1", Step: 7}}}, nil),
	}
}

func sameMessage(a, b Message) bool {
	return proto.Equal(a.Envelope, b.Envelope) && bytes.Equal(floats.Bytes(a.Data), floats.Bytes(b.Data))
}

func mustEncode(t testing.TB, m Message) []byte {
	t.Helper()
	frame, err := Encode(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func TestFrameCarriesEveryKind(t *testing.T) {
	for _, m := range everyKind() {
		got, err := Decode(mustEncode(t, m))
		if err != nil {
			t.Fatalf("%T: %v", m.Body, err)
		}
		if !sameMessage(got, m) {
			t.Errorf("%T: got %v, want %v", m.Body, got, m)
		}
	}
}

// A frame of bfloat16 is half as long.
func TestFrameOfBF16(t *testing.T) {
	data := make([]float32, 1000)
	gradient := func(bf16 bool) int {
		return len(mustEncode(t, New(&api.Envelope{Bf16: bf16, Body: &api.Envelope_Gradient{Gradient: &api.Gradient{Chunks: 1}}}, data)))
	}
	if full, half := gradient(false), gradient(true); full-half < 1990 || full-half > 2000 {
		t.Errorf("1000 floats take %d bytes, and %d as bfloat16", full, half)
	}
}

func TestEncodeAppends(t *testing.T) {
	m := chunk("c1", 1, 3)
	frame, err := Encode([]byte("before"), m)
	if err != nil {
		t.Fatal(err)
	}
	if want := append([]byte("before"), mustEncode(t, m)...); !bytes.Equal(frame, want) {
		t.Errorf("frame behind other bytes is %x, want %x", frame, want)
	}
}

// badMessages are those that neither Encode nor a carrier may take.
func badMessages() map[string]Message {
	wrongSum := chunk("c1", 0, 4)
	wrongSum.GetGradient().Checksum++
	finer := chunk("c1", 0, 4)
	finer.Bf16 = true
	return map[string]Message{
		"no envelope":         {},
		"no body":             {Envelope: &api.Envelope{From: "c1"}},
		"floats after a plan": {Envelope: plan(1).Envelope, Data: []float32{1}},
		"wrong checksum":      wrongSum,
		"no bfloat16":         finer,
		"longer than allowed": chunk("c1", 0, MaxPayload/4),
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, m := range badMessages() {
		if _, err := Encode(nil, m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := mustEncode(t, chunk("c1", 0, 4))
	alter := func(f func([]byte) []byte) []byte { return f(bytes.Clone(good)) }
	sealed := func(head ...byte) []byte {
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(head)))
		return append(binary.LittleEndian.AppendUint64(b, digest.Bytes(head)), head...)
	}
	tests := map[string]struct {
		frame []byte
		want  string
	}{
		"empty":             {nil, "a frame of 0 bytes"},
		"eleven bytes":      {good[:11], "a frame of 11 bytes"},
		"too long":          {make([]byte, MaxPayload+1), "a frame of"},
		"head beyond frame": {alter(func(b []byte) []byte { binary.LittleEndian.PutUint32(b, math.MaxUint32); return b }), "a head of"},
		"head not proto":    {sealed(0xff), "decode head"},
		"head altered":      {alter(func(b []byte) []byte { b[prefixBytes+3] ^= 4; return b }), "checksum of a head"},
		"no body":           {sealed(), "no body"},
		"half a float":      {good[:len(good)-2], "no whole number"},
		"a float short":     {good[:len(good)-4], "checksum"},
		"a bit flipped":     {alter(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), "checksum"},
		"floats after a plan": {
			append(mustEncode(t, plan(1)), 0, 0, 0, 0), "floats follow",
		},
	}
	for name, test := range tests {
		if _, err := Decode(test.frame); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range everyKind() {
		frame := mustEncode(f, m)
		f.Add(frame)
		f.Add(frame[:len(frame)/2])
	}
	f.Add(make([]byte, prefixBytes))
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := Decode(frame)
		if err != nil {
			return
		}
		if err := m.Check(); err != nil {
			t.Fatalf("decoded message is malformed: %v", err)
		}
		again, err := Decode(mustEncode(t, m))
		if err != nil || !sameMessage(again, m) {
			t.Fatalf("%v became %v, %v", m, again, err)
		}
	})
}

// TestNoBitChangesUnnoticed flips each bit of a frame in turn.
func TestNoBitChangesUnnoticed(t *testing.T) {
	for _, m := range []Message{plan(3), chunk("c1", 2, 5)} {
		frame := mustEncode(t, m)
		for bit := range 8 * len(frame) {
			frame[bit/8] ^= 1 << (bit % 8)
			if got, err := Decode(frame); err == nil {
				t.Errorf("%T with bit %d flipped is %v", m.Body, bit, got)
			}
			frame[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestNewSetsChecksum(t *testing.T) {
	data := []float32{1, 2}
	for _, m := range []Message{
		New(&api.Envelope{Body: &api.Envelope_Gradient{Gradient: &api.Gradient{}}}, data),
		New(&api.Envelope{Body: &api.Envelope_Partial{Partial: &api.Partial{}}}, data),
	} {
		if got, want := m.GetGradient().GetChecksum()+m.GetPartial().GetChecksum(), digest.Chunk(data); got != want {
			t.Errorf("%T: checksum %x, want %x", m.Body, got, want)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"c1", "worker-3", "A_b", strings.Repeat("x", 64)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "a.b", "a b", "*", ">", "a\n", "ä", strings.Repeat("x", 65)} {
		if CheckName(name) == nil {
			t.Errorf("%q: no error", name)
		}
	}
}

func TestMatches(t *testing.T) {
	tests := []struct {
		pattern, subject string
		want             bool
	}{
		{"cv.a.hello.*", "cv.a.hello.w1", true},
		{"cv.a.hello.*", "cv.a.hello", false},
		{"cv.a.hello.*", "cv.a.hello.w1.x", false},
		{"cv.*.r.c1.in", "cv.a.r.c1.in", true},
		{"cv.a.r.c1.in", "cv.a.r.c2.in", false},
		{"cv.a", "cv.ab", false},
	}
	for _, test := range tests {
		if got := matches(test.pattern, test.subject); got != test.want {
			t.Errorf("matches(%q, %q) = %v", test.pattern, test.subject, got)
		}
	}
}
