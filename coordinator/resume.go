package coordinator

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"convoy/api"
)

// notes is what a call has handed to its client so far: what the next leader
// needs to know to go on where the last one stopped.
type notes interface {
	// take notes a message before it goes out; false says that the client has
	// it already.
	take(m any) bool
	// again reports whether the call can go on at another leader.
	again() bool
	// count is how many messages went out.
	count() int
}

// notesFor returns the notes of a streaming call. The rows' notes change req.
func notesFor(req proto.Message) notes {
	switch req := req.(type) {
	case *api.RowsRequest:
		return &rowNotes{req: req}
	case *api.LogsRequest:
		return &logNotes{last: map[string]int64{}}
	default:
		return &plainNotes{}
	}
}

// noted are the notes of a unary call.
type noted struct{}

func (noted) take(any) bool { return true }
func (noted) again() bool   { return true }
func (noted) count() int    { return 0 }

// plainNotes serve Watch, which goes on with the newest status, and Model, whose
// file cannot be taken up in the middle.
type plainNotes struct {
	n     int
	bytes bool
}

func (p *plainNotes) take(m any) bool {
	if _, ok := m.(*api.Piece); ok {
		p.bytes = true
	}
	p.n++
	return true
}
func (p *plainNotes) again() bool { return !p.bytes }
func (p *plainNotes) count() int  { return p.n }

// rowNotes ask the next leader for the rows that are still missing.
type rowNotes struct {
	req *api.RowsRequest
	n   int
}

func (r *rowNotes) take(m any) bool {
	row := m.(*api.LedgerRow)
	if row.Step < r.req.From {
		return false
	}
	r.req.From = row.Step + 1
	r.n++
	return true
}
func (r *rowNotes) again() bool { return true }
func (r *rowNotes) count() int  { return r.n }

// logNotes drop the lines that the last leader sent already: those of one
// replica come in the order in which it wrote them. Lines of one instant are
// let through only while the leader that began with them is the same.
type logNotes struct {
	last  map[string]int64 // unix nanoseconds by replica
	floor map[string]int64 // last, as it was when the call moved
	n     int
}

func (l *logNotes) take(m any) bool {
	line := m.(*api.LogLine)
	if floor, ok := l.floor[line.Replica]; ok && line.UnixNanos <= floor {
		return false
	}
	l.last[line.Replica] = line.UnixNanos
	l.n++
	return true
}

func (l *logNotes) again() bool {
	l.floor = make(map[string]int64, len(l.last))
	for replica, nanos := range l.last {
		l.floor[replica] = nanos
	}
	return true
}
func (l *logNotes) count() int { return l.n }

// begun is a server stream whose request has been read already.
type begun struct {
	grpc.ServerStream
	req   proto.Message
	notes notes
}

func (b *begun) RecvMsg(m any) error {
	if b.req == nil {
		return io.EOF
	}
	proto.Merge(m.(proto.Message), b.req)
	b.req = nil
	return nil
}

func (b *begun) SendMsg(m any) error {
	if !b.notes.take(m) {
		return nil
	}
	return b.ServerStream.SendMsg(m)
}

// relay makes a server-streaming call at another replica and hands on what
// comes.
func relay(ctx context.Context, conn grpc.ClientConnInterface, method string, req proto.Message, to grpc.ServerStream) error {
	from, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return err
	}
	if err := from.SendMsg(req); err != nil && !errors.Is(err, io.EOF) {
		return err // after io.EOF RecvMsg tells the cause
	}
	if err := from.CloseSend(); err != nil {
		return err
	}
	for {
		_, m, err := messages(method)
		if err != nil {
			return err
		}
		switch err := from.RecvMsg(m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := to.SendMsg(m); err != nil {
			return err
		}
	}
}

// replaceSlash turns "/convoy.v1.Jobs/Watch" into "convoy.v1.Jobs.Watch".
func replaceSlash(method string) string {
	return strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
}
