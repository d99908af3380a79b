package link

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// Message is one message on its way to or from a NATS server: the line that
// announces it, such as "PUB subject 5\r\n", and its payload. See "Client
// Protocol" in the documentation of NATS.
type Message struct {
	Line    []byte // with its end
	Subject string
	Head    int    // bytes of NATS headers that the payload begins with
	Payload []byte // without its end
}

// Filter returns what goes on instead of a message: itself, itself changed,
// nothing, or several. The message is the filter's own: it may keep it and let it
// go on later.
type Filter func(Message) []Message

const (
	maxLine    = 4 << 10 // bytes of a control line; the server's own limit is the default one of 4 kB
	maxPayload = 8 << 20 // bytes, beyond what a server of ours lets pass
)

// copyMessages forwards one direction of a connection to a NATS server, each
// message as filter has it and everything else as it is, until an error ends it.
func copyMessages(to io.Writer, from io.Reader, filter Filter) error {
	const buffer = 64 << 10 // bytes
	out := bufio.NewWriterSize(to, buffer)
	in := bufio.NewReaderSize(flushing{from, out}, buffer)
	for {
		line, err := readLine(in)
		if err != nil {
			return err
		}
		m, announced, err := parseLine(line)
		if err != nil {
			return err
		}
		if announced < 0 {
			if _, err := out.Write(line); err != nil {
				return err
			}
			continue
		}
		if m.Payload, err = readPayload(in, announced); err != nil {
			return err
		}
		for _, m := range filter(m) {
			if err := m.write(out); err != nil {
				return err
			}
		}
	}
}

// flushing sends on what is there before it waits for more.
type flushing struct {
	io.Reader
	out *bufio.Writer
}

func (f flushing) Read(b []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, err
	}
	return f.Reader.Read(b)
}

// readLine reads a line with its end. It is a copy.
func readLine(from *bufio.Reader) ([]byte, error) {
	line, err := from.ReadSlice('\n')
	if err != nil {
		return nil, err // bufio.ErrBufferFull for one beyond all limits
	}
	return bytes.Clone(line), nil
}

// parseLine reads the line that announces a message; of all others it returns a
// length of −1.
func parseLine(line []byte) (m Message, payload int, err error) {
	fields := bytes.Fields(line)
	if len(fields) == 0 {
		return m, -1, nil
	}
	// PUB subject [reply] bytes, MSG subject sid [reply] bytes; those with an H
	// give the length of their headers before that of all.
	least, headers := 0, false
	switch verb := string(bytes.ToUpper(fields[0])); verb {
	case "PUB":
		least = 3
	case "MSG":
		least = 4
	case "HPUB":
		least, headers = 4, true
	case "HMSG":
		least, headers = 5, true
	default:
		return m, -1, nil
	}
	bad := func() error { return fmt.Errorf("a line of the NATS protocol that announces no message: %q", line) }
	if len(line) > maxLine || len(fields) < least || len(fields) > least+1 {
		return m, 0, bad()
	}
	payload, err = strconv.Atoi(string(fields[len(fields)-1]))
	if err != nil || payload < 0 || payload > maxPayload {
		return m, 0, bad()
	}
	if headers {
		m.Head, err = strconv.Atoi(string(fields[len(fields)-2]))
		if err != nil || m.Head < 0 || m.Head > payload {
			return m, 0, bad()
		}
	}
	m.Line, m.Subject = line, string(fields[1])
	return m, payload, nil
}

func readPayload(from io.Reader, n int) ([]byte, error) {
	b := make([]byte, n+2)
	if _, err := io.ReadFull(from, b); err != nil {
		return nil, err
	}
	if b[n] != '\r' || b[n+1] != '\n' {
		return nil, fmt.Errorf("a NATS payload of %d bytes does not end where its line says", n)
	}
	return b[:n:n], nil
}

func (m Message) write(out *bufio.Writer) error {
	for _, b := range [][]byte{m.Line, m.Payload, []byte("\r\n")} {
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	return nil
}
