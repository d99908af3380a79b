package ps

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"convoy/api"
	"convoy/bus"
	"convoy/digest"
	"convoy/job"
	"convoy/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// toyRecord is the record of a job that runs on simRecipe.
func toyRecord(r job.Recipe) *api.JobRecord {
	return &api.JobRecord{Submit: &api.JobSubmit{Job: simJob, Recipe: r.Canonical()}, Phase: api.Phase_PHASE_RUNNING}
}

// leading returns a machine that leads three replicas at step 0, with worker w1.
func leading(t *testing.T, chunkFloats int) *Machine {
	t.Helper()
	return leadingOn(t, simRecipe(4), chunkFloats)
}

func leadingOn(t *testing.T, r job.Recipe, chunkFloats int) *Machine {
	t.Helper()
	j := state.NewJob(simJob, r)
	m := NewMachine(MachineConfig{
		Cluster: simCluster, Self: "r1", Voters: []string{"r1", "r2", "r3"}, ChunkFloats: chunkFloats,
	}, j, toyRecord(r))
	s := simInitial(j)
	m.Step(0, Prepared{state.NewKeeper(j, s, 0, digest.Chain0(j.Hash, s.Digest()))})
	m.Step(0, Leading{Term: 1})
	m.Step(0, Held{&api.HeldResponse{Replica: "r2", Ready: true}})
	if !m.lead.adopted {
		t.Fatal("the leader waits for more than a majority")
	}
	for _, id := range []string{"r2", "r3"} {
		m.Step(0, Received{ackMessage(&api.Ack{Job: simJob, Replica: id})})
	}
	m.Step(0, hello("w1", 0))
	m.Step(tickEvery, Tick{})
	return m
}

func hello(id string, step uint64) Received {
	return Received{bus.Message{Envelope: &api.Envelope{
		From: id, Job: simJob, Term: 1,
		Body: &api.Envelope_Hello{Hello: &api.Hello{ArithmeticVersion: job.ArithmeticVersion, Ready: true, Step: step}},
	}}}
}

// bodies picks the messages of one kind out of actions.
func bodies[T any](actions []Action) (all []T) {
	for _, a := range actions {
		if s, ok := a.(Send); ok {
			if b, ok := s.Message.Body.(T); ok {
				all = append(all, b)
			}
		}
	}
	return all
}

const second = time.Second
