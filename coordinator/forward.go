package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"convoy/api"
)

// Metadata of calls between replicas. A call that carries hopKey was passed on
// by a replica that took the receiver for the leader; it is never passed on
// again, so calls cannot go round in circles. One that carries localKey is for
// the receiver itself.
const (
	hopKey   = "convoy-hop"
	localKey = "convoy-local"
)

// retryPause is how long a replica waits for news of the leader before it tries
// the one it knows again.
const retryPause = 50 * time.Millisecond

// leaderCalls are the calls that the leader answers. Where alone is true any
// replica may answer by itself once no leader is found: the answer says as much
// (Cluster) or cannot be outdated without saying so (Model). Where fresh is true
// a majority confirms first that it is the leader who answers: these calls are
// linearizable. The others may come from a leader that does not know yet that
// another one was elected.
//
// All of them may be made twice: Submit is told apart by its request id, a
// second Cancel finds the job cancelled, a second Pause or Resume another turn,
// a second AddReplica or RemoveReplica that it is done, TransferLeader says from
// whom, the rest only read.
var leaderCalls = map[string]struct{ alone, fresh bool }{
	api.Jobs_Submit_FullMethodName:  {fresh: true},
	api.Jobs_List_FullMethodName:    {fresh: true},
	api.Jobs_Status_FullMethodName:  {fresh: true},
	api.Jobs_Watch_FullMethodName:   {},
	api.Jobs_Logs_FullMethodName:    {},
	api.Jobs_Cancel_FullMethodName:  {fresh: true},
	api.Jobs_Pause_FullMethodName:   {fresh: true},
	api.Jobs_Resume_FullMethodName:  {fresh: true},
	api.Jobs_Model_FullMethodName:   {alone: true},
	api.Jobs_Rows_FullMethodName:    {},
	api.Jobs_Cluster_FullMethodName: {alone: true},

	api.Jobs_AddReplica_FullMethodName:     {},
	api.Jobs_RemoveReplica_FullMethodName:  {},
	api.Jobs_TransferLeader_FullMethodName: {},
}

// forwarder takes calls to the leader.
type forwarder struct {
	id      string
	replica interface {
		Leader() (id, address string, term uint64)
		IsLeader() bool
		Fresh(ctx context.Context) error
		Changed() <-chan struct{}
	}
	conn     func(address string) (grpc.ClientConnInterface, error)
	wait     time.Duration   // how long a call waits for a leader
	stopping <-chan struct{} // closed when this replica stops
}

// errLeaderMoved ends a call that was begun at a leader that is none any more.
var errLeaderMoved = errors.New("leadership has moved")

func (f *forwarder) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if _, ok := leaderCalls[info.FullMethod]; !ok || marked(ctx, localKey) {
		return handler(ctx, req)
	}
	var reply any
	err := f.atLeader(ctx, info.FullMethod, noted{}, func(ctx context.Context) (err error) {
		reply, err = handler(ctx, req)
		return err
	}, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		_, out, err := messages(info.FullMethod)
		if err != nil {
			return err
		}
		reply = out
		return conn.Invoke(ctx, info.FullMethod, req, out)
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

func (f *forwarder) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx := ss.Context()
	if _, ok := leaderCalls[info.FullMethod]; !ok || marked(ctx, localKey) {
		return handler(srv, ss)
	}
	req, _, err := messages(info.FullMethod)
	if err != nil {
		return err
	}
	if err := ss.RecvMsg(req); err != nil {
		return err
	}
	notes := notesFor(req)
	return f.atLeader(ctx, info.FullMethod, notes, func(context.Context) error {
		return handler(srv, &begun{ServerStream: ss, req: req, notes: notes})
	}, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		return relay(ctx, conn, info.FullMethod, req, &begun{ServerStream: ss, notes: notes})
	})
}

// atLeader carries a call out where the leader is: by local here, by remote
// elsewhere. It tries again while leadership moves or the leader is out of
// reach, until f.wait has passed without progress or the call's own deadline is
// over.
func (f *forwarder) atLeader(ctx context.Context, method string, n notes,
	local func(context.Context) error, remote func(context.Context, grpc.ClientConnInterface) error,
) error {
	forwarded := marked(ctx, hopKey)
	alone := leaderCalls[method].alone && !forwarded
	wait := f.wait
	if alone {
		wait = min(wait, time.Second)
	}
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)*9/10) // the rest is for the answer
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		changed := f.replica.Changed()
		id, address, _ := f.replica.Leader()
		before := n.count()
		err := errLeaderMoved
		switch {
		case f.replica.IsLeader():
			if !leaderCalls[method].fresh || f.replica.Fresh(ctx) == nil {
				err = local(ctx)
			}
		case !forwarded && id != "" && id != f.id && address != "":
			err = f.remote(ctx, id, address, remote)
		}
		switch {
		case !movedOn(err):
			return err
		case ctx.Err() != nil:
			return status.FromContextError(ctx.Err()).Err()
		case forwarded:
			return f.notLeader("replica %s does not lead: ask it again without %s", f.id, hopKey)
		case !n.again():
			return f.notLeader("replica %s lost the leader in the middle of the answer: ask again", f.id)
		case n.count() > before:
			timer.Reset(wait)
		}
		pause := time.NewTimer(retryPause)
		select {
		case <-changed:
		case <-pause.C:
		case <-ctx.Done():
		case <-f.stopping:
			pause.Stop()
			return f.notLeader("replica %s stops: ask another one", f.id)
		case <-timer.C:
			pause.Stop()
			if alone {
				return local(ctx)
			}
			return f.noLeader(id, address, wait, err)
		}
		pause.Stop()
		if ctx.Err() != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// remote makes the call at the leader and ends it when another one leads.
func (f *forwarder) remote(ctx context.Context, id, address string, call func(context.Context, grpc.ClientConnInterface) error) error {
	conn, err := f.conn(address)
	if err != nil {
		return f.notLeader("%v", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for {
			changed := f.replica.Changed()
			if now, _, _ := f.replica.Leader(); now != "" && now != id {
				cancel(errLeaderMoved)
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	})
	err = call(metadata.AppendToOutgoingContext(ctx, hopKey, strconv.Itoa(1)), conn)
	if err != nil && errors.Is(context.Cause(ctx), errLeaderMoved) {
		err = errLeaderMoved
	}
	cancel(nil)
	watcher.Wait()
	return err
}

// movedOn reports whether a call that ended with err may succeed elsewhere or
// later. Handlers keep the code Unavailable for exactly that.
func movedOn(err error) bool {
	return errors.Is(err, errLeaderMoved) || status.Code(err) == codes.Unavailable
}

// notLeader says that another replica, or the same one later, can answer.
func (f *forwarder) notLeader(format string, args ...any) error {
	s := status.Newf(codes.Unavailable, format, args...)
	if detailed, err := s.WithDetails(&errdetails.ErrorInfo{Reason: "NOT_LEADER", Domain: "convoy"}); err == nil {
		s = detailed
	}
	return s.Err()
}

func (f *forwarder) noLeader(id, address string, wait time.Duration, err error) error {
	if id == "" || errors.Is(err, errLeaderMoved) {
		return f.notLeader("replica %s has known no leader for %v: a majority of the replicas must run and reach each other; start those that are missing and ask again", f.id, wait.Round(time.Millisecond))
	}
	return f.notLeader("replica %s could not reach the leader %s at %s for %v: %s: start it or wait until another leads, and ask again", f.id, id, address, wait.Round(time.Millisecond), status.Convert(err).Message())
}

func marked(ctx context.Context, key string) bool {
	return len(metadata.ValueFromIncomingContext(ctx, key)) > 0
}

// messages makes an empty request and an empty reply of a method.
func messages(fullMethod string) (req, reply proto.Message, err error) {
	name := protoreflect.FullName(replaceSlash(fullMethod))
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return nil, nil, fmt.Errorf("method %s: %w", fullMethod, err)
	}
	m, ok := d.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, nil, fmt.Errorf("%s is no method", fullMethod)
	}
	in, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
	if err != nil {
		return nil, nil, fmt.Errorf("method %s: %w", fullMethod, err)
	}
	out, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		return nil, nil, fmt.Errorf("method %s: %w", fullMethod, err)
	}
	return in.New().Interface(), out.New().Interface(), nil
}
