package link

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// stream is what a client and a server say to each other, all in one.
const stream = "INFO {\"server_id\":\"a\"}\r\nCONNECT {}\r\nPING\r\nPONG\r\n+OK\r\nSUB a.> 1\r\n" +
	"PUB a.b 5\r\nhello\r\npub a.b 0\r\n\r\nPUB a.b reply 4\r\n\r\n\r\n\r\n" +
	"MSG a.b 1 3\r\nxyz\r\nMSG a.b 1 reply 1\r\n\x00\r\nHPUB a.c 12 14\r\nNATS/1.0\r\n\r\nhi\r\n" +
	"HMSG a.c 7 reply 12 12\r\nNATS/1.0\r\n\r\n\r\nUNSUB 1\r\n-ERR 'x'\r\n"

func copied(t *testing.T, text string, f Filter) string {
	t.Helper()
	var whole string
	for _, from := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
		var to bytes.Buffer
		if err := copyMessages(&to, from, f); err != io.EOF {
			t.Errorf("ended with %v, want the end of the stream", err)
		}
		if whole != "" && to.String() != whole {
			t.Error("byte by byte gives something else")
		}
		whole = to.String()
	}
	return whole
}

func same(m Message) []Message { return []Message{m} }

func TestMessagesPassAsTheyAre(t *testing.T) {
	if got := copied(t, stream, same); got != stream {
		t.Errorf("got %q", got)
	}
}

func TestFilterSeesEachMessage(t *testing.T) {
	type seen struct {
		subject, payload string
		head             int
	}
	var got []seen
	copyOnce := func(m Message) []Message {
		got = append(got, seen{m.Subject, string(m.Payload), m.Head})
		return nil
	}
	var to bytes.Buffer
	if err := copyMessages(&to, strings.NewReader(stream), copyOnce); err != io.EOF {
		t.Fatal(err)
	}
	want := []seen{
		{"a.b", "hello", 0},
		{"a.b", "", 0},
		{"a.b", "\r\n\r\n", 0},
		{"a.b", "xyz", 0},
		{"a.b", "\x00", 0},
		{"a.c", "NATS/1.0\r\n\r\nhi", 12},
		{"a.c", "NATS/1.0\r\n\r\n", 12},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("message %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
	if left := to.String(); strings.Contains(left, "hello") || !strings.Contains(left, "SUB a.> 1\r\n") {
		t.Errorf("without the messages: %q", left)
	}
}

func TestFilterSendsTwiceAndLater(t *testing.T) {
	var kept []Message
	got := copied(t, "PUB a 1\r\n1\r\nPUB a 1\r\n2\r\nPING\r\n", func(m Message) []Message {
		out := append([]Message{m}, kept...)
		kept = nil
		if string(m.Payload) == "1" {
			kept = []Message{m}
		}
		return out
	})
	if want := "PUB a 1\r\n1\r\nPUB a 1\r\n2\r\nPUB a 1\r\n1\r\nPING\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatIsNotNATSEnds(t *testing.T) {
	for _, text := range []string{
		"PUB\r\n", "PUB a\r\n", "PUB a b c 1\r\n", "PUB a -1\r\n", "PUB a x\r\n", "PUB a 99999999999\r\n", "PUB a 1\r\nabc",
		"MSG a 1\r\n", "HPUB a 5 4\r\nNATS\r\n", "HMSG a 1 2\r\n", strings.Repeat("x", 1<<20),
	} {
		if err := copyMessages(io.Discard, strings.NewReader(text), same); err == nil || err == io.EOF {
			t.Errorf("%.20q is taken: %v", text, err)
		}
	}
}

// FuzzMessages: whatever comes, what goes on is what came, up to where it ends.
func FuzzMessages(f *testing.F) {
	f.Add([]byte(stream))
	f.Add([]byte("PUB a 1\r\nab"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var to bytes.Buffer
		if err := copyMessages(&to, bytes.NewReader(b), same); err == nil {
			t.Error("ended without an error")
		}
		if !bytes.HasPrefix(b, to.Bytes()) {
			t.Errorf("from %q came %q", b, to.Bytes())
		}
	})
}
