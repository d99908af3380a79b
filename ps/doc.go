// Package ps is the replicated parameter server: it keeps a job's state on
// every replica and leads synchronous SGD, step by step.
//
// It owns the control FSM that Raft replicates (fsm.go: jobs, phases, heads;
// never a tensor), a replica's part in a job as a pure machine (machine.go,
// with leader.go for the replica that leads), and the shell that carries out
// what the machine decides (replica.go). It knows neither networks nor kernels:
// a state is flat vectors, and the initial one comes from a function it is
// given.
//
// It promises that a step is counted exactly once (I1), that equal steps mean
// equal states on every replica (I2), that a committed step was held by a
// majority when it was proposed (I3), and that no step waits for a disk: Raft
// orders what has been decided, behind the arithmetic.
//
// A machine that turns events into actions and does nothing else is the form of
// etcd's raft core (go.etcd.io/raft, doc.go). That the state is a pure function
// of the recipe and the step is what makes leader change harmless.
package ps
