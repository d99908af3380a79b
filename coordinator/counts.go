package coordinator

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"convoy/api"
	"convoy/bus"
	"convoy/metrics"
)

// refusals counts the calls that are refused for what they say. It sees those too
// that never reach a handler: of unknown methods, too long, or not decodable.
type refusals struct{ metrics *metrics.Replica }

type methodKey struct{}

// TagRPC remembers a call's method, by a name that is ours: what comes from
// outside cannot make the metrics grow.
func (r refusals) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	method := "unknown"
	if _, _, err := messages(info.FullMethodName); err == nil && strings.HasPrefix(info.FullMethodName, "/"+string(api.File_jobs_proto.Package())+".") {
		method = info.FullMethodName
	}
	return context.WithValue(ctx, methodKey{}, method)
}

// HandleRPC counts a call that ends with one of the codes below.
func (r refusals) HandleRPC(ctx context.Context, s stats.RPCStats) {
	end, ok := s.(*stats.End)
	if !ok {
		return
	}
	reason := ""
	switch status.Code(end.Error) {
	case codes.InvalidArgument, codes.OutOfRange:
		reason = "malformed"
	case codes.ResourceExhausted:
		reason = "too_long"
	case codes.Unimplemented:
		reason = "unexpected"
	case codes.NotFound:
		reason = "unknown"
	case codes.AlreadyExists:
		reason = "duplicate"
	case codes.Internal:
		if strings.Contains(status.Convert(end.Error).Message(), "unmarshal") {
			reason = "malformed"
		}
	}
	if reason != "" {
		method, _ := ctx.Value(methodKey{}).(string)
		r.metrics.Refused(method, reason)
	}
}

// TagConn leaves connections as they are.
func (refusals) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn does not count connections.
func (refusals) HandleConn(context.Context, stats.ConnStats) {}

// showCarrier shows the carrier's counters among the metrics.
func (s *Server) showCarrier() {
	if c, ok := s.carrier.(interface{ Stats() bus.Stats }); ok {
		s.cfg.Metrics.Carrier(func() metrics.Carried { return carried(c.Stats()) })
	}
}

// carried puts a carrier's counters into the form that metrics show.
func carried(s bus.Stats) metrics.Carried {
	return metrics.Carried{
		SentMessages: s.Published, SentBytes: s.SentBytes, ReceivedMessages: s.Received, ReceivedBytes: s.ReceivedBytes,
		Lost: s.Lost, Dropped: s.Dropped, Malformed: s.Malformed,
	}
}
