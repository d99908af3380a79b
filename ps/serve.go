package ps

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"convoy/api"
	"convoy/state"
)

// Held tells how far this replica is with a job.
func (r *Replica) Held(ctx context.Context, req *api.HeldRequest) (*api.HeldResponse, error) {
	answer := &api.HeldResponse{Replica: r.cfg.ID, Nats: r.cfg.Carrier.Connected()}
	if req.Verify {
		answer.Verified = r.Fresh(ctx) == nil
	}
	answer.Members = apiMembers(r.readMembers()) // after the leader has been confirmed
	if req.Complete {
		answer.Applied, answer.Lacks = r.raft.AppliedIndex(), r.lacking()
	}
	err := r.call(ctx, func() {
		answer.Leader, answer.Term = r.role.leader, r.role.term
		answer.LeaderAddress = r.address(r.role.leader)
		if n := r.runner; n != nil && n.id() == req.Job && n.machine.Keeper() != nil {
			k := n.machine.Keeper()
			chain := k.Chain()
			answer.Ready, answer.Step, answer.Chain = true, uint64(k.Step()), chain[:]
		}
		if req.Complete && answer.Lacks == "" && r.runner != nil && r.runner.machine.Keeper() == nil {
			answer.Lacks = "a state of job " + r.runner.id()
		}
	})
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return answer, nil
}

// lacking is what this replica must still have to be a voter, "" for nothing.
func (r *Replica) lacking() string {
	lacks := *r.lacks.Load()
	if lacks == "" && r.cfg.Lacks != nil {
		lacks = r.cfg.Lacks()
	}
	return lacks
}

// FetchGradient sends the gradient applied last, if it is the one asked for.
func (r *Replica) FetchGradient(req *api.FetchGradientRequest, out grpc.ServerStreamingServer[api.GradientPiece]) error {
	var g *state.Gradient
	err := r.call(out.Context(), func() {
		if n := r.runner; n != nil && n.id() == req.Job {
			g = n.machine.known(int(req.Step))
		}
	})
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	if g == nil {
		return status.Errorf(codes.NotFound, "replica %s does not have gradient %d of job %s: fetch the state", r.cfg.ID, req.Step, req.Job)
	}
	return g.Send(out.Send)
}

// FetchState sends a consistent copy of the state.
func (r *Replica) FetchState(req *api.FetchStateRequest, out grpc.ServerStreamingServer[api.StatePiece]) error {
	var c *state.Copy
	err := r.call(out.Context(), func() {
		if n := r.runner; n != nil && n.id() == req.Job && n.machine.Keeper() != nil {
			c = n.machine.Keeper().Copy()
		}
	})
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	if c == nil {
		return status.Errorf(codes.FailedPrecondition, "replica %s holds no state of job %s: ask another one", r.cfg.ID, req.Job)
	}
	return c.Send(out.Send)
}

// Acknowledge takes a receipt that the bus could not carry.
func (r *Replica) Acknowledge(_ context.Context, a *api.Ack) (*api.AckResponse, error) {
	r.post(func() {
		if n := r.runner; n != nil && n.id() == a.Job {
			r.step(n, Received{ackMessage(a)})
		}
	})
	return &api.AckResponse{}, nil
}

// FetchRows sends the ledger's rows that are on this replica's disk.
func (r *Replica) FetchRows(req *api.RowsRequest, out grpc.ServerStreamingServer[api.LedgerRow]) error {
	for row, err := range r.rows(req.Job, req.From, false) {
		if err != nil {
			return status.Errorf(codes.DataLoss, "ledger of job %s: %v", req.Job, err)
		}
		if err := out.Send(row); err != nil {
			return err
		}
	}
	return nil
}

// FetchLog sends the job's events that this replica wrote down.
func (r *Replica) FetchLog(req *api.JobRequest, out grpc.ServerStreamingServer[api.LogLine]) error {
	lines, err := r.readLog(req.Job)
	if err != nil {
		return status.Errorf(codes.Internal, "log of job %s: %v", req.Job, err)
	}
	for _, l := range lines {
		if err := out.Send(l); err != nil {
			return err
		}
	}
	return nil
}
