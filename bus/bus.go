// Package bus carries messages between replicas and workers.
//
// It owns the form of a message on the wire, the names of the subjects, and two
// carriers: Local hands messages over inside one process without copying, NATS
// sends them through a nats-server (package embedded runs one inside the
// process).
//
// It promises little, on purpose: first delivery only. A carrier may lose
// messages, counts those it knows of, and never blocks its caller; the protocol
// above repairs over gRPC. What it does promise: a message arrives whole and
// with the bits it was sent with, or not at all; the messages of one kind
// (control, or floats) from one sender to one subject keep their order; a
// subscription's function is never called twice at once. Control and floats
// have no order among each other: a StepRow may overtake the chunks it closes.
//
// At-most-once delivery with repair out of band follows NATS' core protocol
// and the end-to-end argument (Saltzer, Reed and Clark, 1984).
package bus

import (
	"errors"
	"fmt"
	"strings"
)

// Carrier delivers messages to the subscribers of a subject, the sender's own
// subscriptions included. Its methods may be called from any goroutine.
type Carrier interface {
	// Publish sends m to all subscribers of subject. It does not wait for
	// delivery, and never for long at all. An error says that the message is
	// lost; nil does not say that it arrived. From here on nobody may change
	// the message, its envelope or its floats.
	Publish(subject string, m Message) error
	// Subscribe calls f for each message of subject, one at a time. Once
	// Subscribe has returned on a connected carrier, messages published
	// afterwards arrive. f must not block for long and must not call
	// unsubscribe; after unsubscribe has returned f is not called again.
	Subscribe(subject string, f func(Message)) (unsubscribe func(), err error)
	// Connected reports whether messages can travel now.
	Connected() bool
	// Close ends all subscriptions and the carrier's goroutines.
	Close() error
}

// Errors of Publish; in each case the message is lost.
var (
	ErrClosed       = errors.New("the carrier is closed")
	ErrDisconnected = errors.New("not connected to NATS")
	ErrFull         = errors.New("the queue to NATS is full")
)

// Stats counts since the carrier began.
type Stats struct {
	Published uint64 // messages that Publish took
	Received  uint64 // messages handed to subscribers
	Lost      uint64 // messages that Publish took and could not send
	Dropped   uint64 // messages that arrived for a subscriber whose queue was full
	Malformed uint64 // messages that arrived and were not whole
	// SentBytes and ReceivedBytes are of frames; within a process nothing is sent.
	SentBytes, ReceivedBytes uint64
}

// ReplicaIn is where a replica receives partials and acknowledgements.
func ReplicaIn(cluster, replica string) string { return "cv." + cluster + ".r." + replica + ".in" }

// WorkerIn is where a worker receives plans and requests.
func WorkerIn(cluster, worker string) string { return "cv." + cluster + ".w." + worker + ".in" }

// Gradients is where a job's gradients, step rows and heads go out.
func Gradients(cluster, job string) string { return "cv." + cluster + ".j." + job + ".g" }

// Hello is where a worker announces itself.
func Hello(cluster, worker string) string { return "cv." + cluster + ".hello." + worker }

// AllHellos matches Hello of every worker.
func AllHellos(cluster string) string { return Hello(cluster, "*") }

// maxName bounds names, which end up in subjects, file names and tables.
const maxName = 64

// CheckName reports whether name can be the name of a cluster, a replica, a
// worker or a job: 1 to 64 letters, digits, hyphens and underscores, so that it
// is one word of a subject and no wildcard.
func CheckName(name string) error {
	if name == "" {
		return errors.New("a name is empty: use letters, digits, - and _")
	}
	if len(name) > maxName {
		return fmt.Errorf("name %q has %d characters: use at most %d", name, len(name), maxName)
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", r) {
			return fmt.Errorf("name %q contains %q: use letters, digits, - and _", name, r)
		}
	}
	return nil
}

// checkSubject guards against names that were never checked: an empty word or a
// space would end up in NATS' protocol. Only a subscription may have wildcards.
func checkSubject(subject string, wildcards bool) error {
	for word := range strings.SplitSeq(subject, ".") {
		if word == "*" && wildcards {
			continue
		}
		if CheckName(word) != nil {
			return fmt.Errorf("subject %q has the word %q: use names that bus.CheckName takes", subject, word)
		}
	}
	return nil
}

// matches reports whether subject is one of those that pattern, whose words may
// be "*", stands for.
func matches(pattern, subject string) bool {
	for {
		p, restP, moreP := strings.Cut(pattern, ".")
		s, restS, moreS := strings.Cut(subject, ".")
		if p != s && p != "*" {
			return false
		}
		if !moreP || !moreS {
			return moreP == moreS
		}
		pattern, subject = restP, restS
	}
}
