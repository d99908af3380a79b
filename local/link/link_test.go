package link

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is far beyond what anything here takes on a busy machine.
const patience = 30 * time.Second

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				_, _ = io.Copy(c, c) // until the test ends it
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		must(t, l.Close())
		running.Wait()
	})
	return l.Addr().String()
}

// proxied is a proxy to an echo server, and the sockets that it is dialed from.
func proxied(t *testing.T, o Options) *Proxy {
	t.Helper()
	p, err := Listen("127.0.0.1:0", echo(t), o)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	must(t, err)
	must(t, c.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { _ = c.Close() }) // the test may have done so
	return c
}

// round sends text and reads it back.
func round(c net.Conn, text string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(c, back); err != nil {
		return err
	}
	if string(back) != text {
		return errors.New("other bytes came back: " + string(back))
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBytesPass(t *testing.T) {
	c := dial(t, proxied(t, Options{}))
	sent := make([]byte, 1<<20)
	fill(sent)
	var back []byte
	var reading sync.WaitGroup
	reading.Go(func() {
		back = make([]byte, len(sent))
		if _, err := io.ReadFull(c, back); err != nil {
			t.Error(err)
		}
	})
	_, err := c.Write(sent)
	must(t, err)
	reading.Wait()
	if !bytes.Equal(back, sent) {
		t.Error("the bytes differ")
	}
}

func fill(b []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

func TestCutClosesAndRefuses(t *testing.T) {
	p := proxied(t, Options{})
	before := dial(t, p)
	must(t, round(before, "there"))
	p.Set(func(string) Fate { return Cut })
	if _, err := before.Read(make([]byte, 1)); err == nil || errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a connection that was cut still gives bytes: %v", err)
	}
	if c, err := net.Dial("tcp", p.Addr()); err == nil { // it may be reset before it stands
		must(t, c.SetDeadline(time.Now().Add(patience)))
		if round(c, "refused") == nil {
			t.Error("a new connection passes")
		}
		_ = c.Close() // it is gone
	}
	p.Set(func(string) Fate { return Pass })
	must(t, round(dial(t, p), "there again"))
}

// TestHoldLosesNothing: what is sent while a connection is held arrives when it
// passes again, on old connections and on those that were made meanwhile.
func TestHoldLosesNothing(t *testing.T) {
	p := proxied(t, Options{})
	before := dial(t, p)
	must(t, round(before, "there"))
	p.Set(func(string) Fate { return Hold })
	meanwhile := dial(t, p)
	for _, c := range []net.Conn{before, meanwhile} {
		_, err := io.WriteString(c, "held")
		must(t, err)
		must(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a byte came through")
		}
		must(t, c.SetReadDeadline(time.Now().Add(patience)))
	}
	p.Set(func(string) Fate { return Pass })
	for _, c := range []net.Conn{before, meanwhile} {
		back := make([]byte, len("held"))
		if _, err := io.ReadFull(c, back); err != nil || string(back) != "held" {
			t.Errorf("after the hold: %q, %v", back, err)
		}
		must(t, round(c, "and on"))
	}
}

// TestFateByDialer cuts off one of two who use the same proxy.
func TestFateByDialer(t *testing.T) {
	names := make(chan string, 2)
	p := proxied(t, Options{Who: func(net.Addr) string { return <-names }})
	names <- "a"
	a := dial(t, p)
	must(t, round(a, "a"))
	names <- "b"
	b := dial(t, p)
	must(t, round(b, "b"))
	p.Set(func(from string) Fate {
		if from == "a" {
			return Cut
		}
		return Pass
	})
	if round(a, "a") == nil {
		t.Error("a is not cut off")
	}
	must(t, round(b, "b"))
}

func TestCloseWhileHeld(t *testing.T) {
	p, err := Listen("127.0.0.1:0", echo(t), Options{})
	must(t, err)
	p.Set(func(string) Fate { return Hold })
	c := dial(t, p)
	_, err = io.WriteString(c, "held")
	must(t, err)
	must(t, p.Close())
}
