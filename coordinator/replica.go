package coordinator

import (
	"context"
	"iter"

	"convoy/api"
	"convoy/ps"
)

// replica is what this package uses of *ps.Replica.
type replica interface {
	api.ReplicasServer

	// Run owns the replica's goroutines and returns after them.
	Run(ctx context.Context) error
	// Leader returns empty strings while no leader is known.
	Leader() (id, address string, term uint64)
	IsLeader() bool
	// Fresh returns nil once a majority has confirmed, after the call, that this
	// replica leads.
	Fresh(ctx context.Context) error
	// Propose returns once e is applied here; only the leader may call it.
	Propose(ctx context.Context, e *api.Entry) error
	// Control returns a copy of what Raft holds, as applied here.
	Control() *api.Control
	Job(id string) (*api.JobStatus, bool)
	Jobs() []*api.JobStatus
	// Changed is closed at the next change of any job or of leadership.
	Changed() <-chan struct{}
	Status(ctx context.Context) *api.ClusterStatus
	// Members lists the cluster's replicas by id; it is empty where this one has
	// not been added to a cluster yet.
	Members() []ps.Member
	// Only the leader may change them; other errors are gRPC statuses.
	AddMember(ctx context.Context, s ps.Server) error
	RemoveMember(ctx context.Context, id string) error
	TransferLeadership(ctx context.Context, id string) error
	Rows(job string, from uint64) iter.Seq2[*api.LedgerRow, error]
	// Checkpoint returns the newest recorded checkpoint whose file is here.
	Checkpoint(job string) (path string, record *api.CheckpointRecord, ok bool)
}
