package bus

import "convoy/api"

// Refusal is a kind of message and why one was refused. Both are words of this
// package: nothing in them comes from outside.
type Refusal struct{ Kind, Reason string }

// Reasons to refuse a message that is whole.
const (
	Foreign    = "foreign"    // of another job, recipe or state
	Stale      = "stale"      // of a step or a term that is over, or not yet of use
	Duplicate  = "duplicate"  // it is here already
	Malformed  = "malformed"  // its fields contradict each other or what is known
	Unexpected = "unexpected" // nobody sends this here
)

// Refusals counts what was refused.
type Refusals map[Refusal]uint64

// Add counts one message.
func (r *Refusals) Add(m Message, reason string) {
	if *r == nil {
		*r = Refusals{}
	}
	(*r)[Refusal{m.Kind(), reason}]++
}

// Kind names what a message is.
func (m Message) Kind() string {
	switch m.GetBody().(type) {
	case *api.Envelope_Hello:
		return "hello"
	case *api.Envelope_Plan:
		return "plan"
	case *api.Envelope_Want:
		return "want"
	case *api.Envelope_Partial:
		return "partial"
	case *api.Envelope_Gradient:
		return "gradient"
	case *api.Envelope_Row:
		return "row"
	case *api.Envelope_Ack:
		return "ack"
	case *api.Envelope_Head:
		return "head"
	case *api.Envelope_Credit:
		return "credit"
	}
	return "unknown"
}
