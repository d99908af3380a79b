package ps

import (
	"convoy/api"
	"convoy/bus"
	"convoy/digest"
	"convoy/optim"
	"convoy/state"
)

// What a Machine is told.
type (
	// Event is one of the types below.
	Event any
	// Tick passes the time.
	Tick struct{}
	// Again follows at once on the actions of a step that asked for it.
	Again struct{}
	// Received is a message off the bus.
	Received struct{ bus.Message }
	// Prepared brings the first state: the initial one or a checkpoint's.
	Prepared struct{ Keeper *state.Keeper }
	// Leading says that this replica leads and has applied the whole log.
	Leading struct{ Term uint64 }
	// Following says that another replica leads, or none (empty).
	Following struct {
		Term   uint64
		Leader string
	}
	// Membership says who takes part from now on.
	Membership struct{ Voters, Joining []string }
	// Recorded is the job as the control FSM has it now.
	Recorded struct{ Job *api.JobRecord }
	// Proposed answers a Propose: the entry has been applied, if only to change
	// nothing.
	Proposed struct{}
	// ProposalFailed answers a Propose whose entry may not have been committed.
	ProposalFailed struct{ Err error }
	// Held answers AskHeld for one replica.
	Held struct{ Response *api.HeldResponse }
	// FetchedGradient answers FetchGradient.
	FetchedGradient struct {
		Gradient *state.Gradient
		Err      error
	}
	// FetchedState answers FetchState.
	FetchedState struct {
		*state.Copy
		Err error
	}
	// CheckpointWritten answers WriteCheckpoint: the file is on disk for good.
	CheckpointWritten struct {
		Step   int
		SHA256 digest.Sum
	}
)

// What a Machine asks for.
type (
	// Action is one of the types below.
	Action any
	// Send publishes a message.
	Send struct {
		Subject string
		Message bus.Message
	}
	// Acknowledge sends a receipt over gRPC, where NATS is silent.
	Acknowledge struct {
		To  string
		Ack *api.Ack
	}
	// Propose appends an entry to the Raft log.
	Propose struct{ Entry *api.Entry }
	// AskHeld asks replicas how far they are.
	AskHeld struct{ Replicas []string }
	// FetchGradient gets a gradient that the bus lost.
	FetchGradient struct {
		From string
		Step int
	}
	// FetchState gets a replica's state.
	FetchState struct{ From string }
	// WriteCheckpoint writes a copy of the state to disk.
	WriteCheckpoint struct {
		State *optim.State
		Step  int
		Chain digest.Sum
	}
	// Note is a line of the job's log.
	Note struct{ Text string }
)
