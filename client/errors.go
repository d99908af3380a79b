package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is what a replica answered instead of a result.
type Error struct {
	Code codes.Code
	Text string // a sentence for people
}

func (e *Error) Error() string { return e.Text }

// BadInput reports whether err says that what was handed in is wrong, so that
// trying again is pointless: an invalid job file, an address that is none.
func BadInput(err error) bool {
	var e *Error
	var a *AddressError
	return errors.As(err, &e) && e.Code == codes.InvalidArgument || errors.As(err, &a)
}

// AddressError tells of an address that is none.
type AddressError struct{ Address string }

func (e *AddressError) Error() string {
	return fmt.Sprintf("%q is no address of a coordinator: want host:port, or several with commas, in --addr or %s", e.Address, AddressVariable)
}

// UnreachableError says that no replica answered within the time limit.
type UnreachableError struct {
	Addresses []string
	Reasons   []string // one for each address; empty where it was not tried
	Limit     time.Duration
}

func (e *UnreachableError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no coordinator answered within %v: ", e.Limit)
	for i, address := range e.Addresses {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(address)
		if e.Reasons[i] != "" {
			b.WriteString(" (" + e.Reasons[i] + ")")
		}
	}
	fmt.Fprintf(&b, "; start one with `coordinator serve`, or name another with --addr or %s", AddressVariable)
	return b.String()
}

// repeatable reports whether another replica, or the same one later, may answer
// what this one did not.
func repeatable(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// sentence turns a gRPC status into an Error. Others stay as they are.
func sentence(err error) error {
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	if s.Code() == codes.Unimplemented {
		return &Error{s.Code(), "what answered is no Convoy coordinator of this release (" + s.Message() + "): check the address and run the same release everywhere"}
	}
	return &Error{s.Code(), s.Message()}
}

// text is the shortest form of a reason: gRPC wraps what the network said into
// sentences of its own.
func text(err error) string {
	s, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	if s.Code() == codes.DeadlineExceeded || s.Code() == codes.Canceled {
		return "no answer in time"
	}
	m := s.Message()
	for _, wrapper := range []string{"connection error: desc = ", "transport: ", "Error while dialing: "} {
		if i := strings.LastIndex(m, wrapper); i >= 0 {
			m = m[i+len(wrapper):]
		}
	}
	m = strings.Trim(m, `"\`)
	if i := strings.LastIndex(m, "connect: "); i >= 0 { // dial tcp 127.0.0.1:7070: connect: …
		m = m[i+len("connect: "):]
	}
	return m
}
