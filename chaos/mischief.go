package chaos

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"convoy/api"
	"convoy/bus"
	"convoy/local/link"
)

// mischief sits on all links to NATS: it notes the steps that go by and, when it
// is told to, slows them down, sends messages twice or flips bits of them.
type mischief struct {
	marks *marks
	slow  atomic.Bool

	mu         sync.Mutex
	random     *rand.Rand
	duplicate  bool
	corrupt    bool
	duplicated int
	corrupted  int
}

const (
	ours = "cv." // what subjects of the protocol begin with
	// How much later a step's row arrives while the job is slowed down: less than
	// what anybody would take for a loss.
	brake = 120 * time.Millisecond
	// Of the messages that pass, so many are sent twice, and so many changed.
	duplicateShare = 0.5
	corruptShare   = 0.1
	// maxLater is how many messages may overtake a duplicate.
	maxLater = 6
	// maxFlips is how many bits of a message are flipped, at most.
	maxFlips = 3
)

func newMischief(seed uint64) *mischief {
	return &mischief{marks: newMarks(), random: rand.New(rand.NewPCG(seed, 1))}
}

// set begins or ends what happens to messages, and counts from 0.
func (m *mischief) set(duplicate, corrupt bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.duplicate, m.corrupt = duplicate, corrupt
	if duplicate || corrupt {
		m.duplicated, m.corrupted = 0, 0
	}
}

// done is how many messages were sent twice or changed since set.
func (m *mischief) done() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.duplicated + m.corrupted
}

// filter is what happens to the messages of one direction of a connection.
func (m *mischief) filter(_ string, up bool) link.Filter {
	var later []delayed
	return func(msg link.Message) []link.Message {
		if !strings.HasPrefix(msg.Subject, ours) {
			return []link.Message{msg}
		}
		again, wait := m.touch(&msg)
		if up {
			m.note(msg)
		}
		out := []link.Message{msg}
		kept := later[:0]
		for _, d := range later {
			if d.wait--; d.wait <= 0 {
				out = append(out, d.Message)
			} else {
				kept = append(kept, d)
			}
		}
		later = kept
		if again {
			later = append(later, delayed{msg, wait})
		}
		return out
	}
}

// delayed is a duplicate that so many messages overtake.
type delayed struct {
	link.Message
	wait int
}

// touch decides what happens to a message, and flips its bits.
func (m *mischief) touch(msg *link.Message) (again bool, wait int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	body := msg.Payload[msg.Head:]
	if m.corrupt && len(body) > 0 && m.random.Float64() < corruptShare {
		m.corrupted++
		changed := bytes.Clone(msg.Payload)
		body = changed[msg.Head:]
		for range 1 + m.random.IntN(maxFlips) {
			body[m.random.IntN(len(body))] ^= 1 << m.random.IntN(8)
		}
		msg.Payload = changed
	}
	if m.duplicate && m.random.Float64() < duplicateShare {
		m.duplicated++
		return true, 1 + m.random.IntN(maxLater)
	}
	return false, 0
}

// rowSuffix ends the subjects of gradients' rows.
const rowSuffix = ".g"

// note looks whether a message is a step's row.
func (m *mischief) note(msg link.Message) {
	if !strings.HasSuffix(msg.Subject, rowSuffix) {
		return
	}
	decoded, err := bus.Decode(msg.Payload[msg.Head:])
	if err != nil {
		return // it was changed just now
	}
	row, ok := decoded.Body.(*api.Envelope_Row)
	if !ok {
		return
	}
	if m.slow.Load() {
		time.Sleep(brake) // what follows on this connection comes later too, as on a slow one
	}
	m.marks.published(row.Row.GetStep())
}
