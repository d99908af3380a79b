package worker

import (
	"convoy/api"
	"convoy/bus"
	"convoy/optim"
	"convoy/state"
	"convoy/tree"
)

// What a Machine is told.
type (
	// Event is one of the types below.
	Event any
	// Tick passes the time.
	Tick struct{}
	// Received is a message off the bus.
	Received struct{ bus.Message }
	// Joined answers Join: the job's data and network are here and its gradients
	// are listened to.
	Joined struct {
		ID  string // of the job
		Job *state.Job
		Err error
	}
	// FetchedState answers FetchState.
	FetchedState struct {
		Job string
		*state.Copy
		Err error
	}
	// FetchedGradient answers FetchGradient.
	FetchedGradient struct {
		Job      string
		Gradient *state.Gradient
		Err      error
	}
	// Computed brings one node of a Compute.
	Computed struct {
		Step int
		Node tree.Node
		Data []float32
		Sums state.Sums
	}
	// Idle says that the Compute is done: the state is no longer read.
	Idle struct{}
	// Located answers Locate: who leads as a replica sees it.
	Located struct{ Response *api.HeldResponse }
	// Leave asks for a clean departure.
	Leave struct{}
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
	// Join prepares a job: its recipe, data, network and subscription.
	Join struct{ Job string }
	// Drop lets go of the job.
	Drop struct{}
	// FetchState gets the state from any replica.
	FetchState struct{ Job string }
	// FetchGradient gets one gradient from any replica.
	FetchGradient struct {
		Job  string
		Step int
	}
	// Compute computes nodes of a step. Until Idle nobody writes to the state.
	Compute struct {
		Step  int
		Nodes []tree.Node
		State *optim.State
	}
	// Locate asks any replica who leads.
	Locate struct{ Job string }
	// Note is worth a line in the log.
	Note struct{ Text string }
)
