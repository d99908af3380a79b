// Package state keeps one job's state: the parameters and optimizer slots
// before the step that comes next, the gradients that have arrived for it, and
// the rows of steps that are not yet committed. Replicas and workers keep the
// state in the same way, since both are fed by the same stream.
//
// A gradient is buffered whole and compared with its digest before it is
// applied: what is damaged or from another run never touches the parameters.
// Nothing here knows the time, a network or a disk; a Keeper belongs to one
// goroutine.
package state

import (
	"convoy/digest"
	"convoy/job"
	"convoy/optim"
)

// Job is what the processes that work on a job must agree on.
type Job struct {
	ID       string
	Recipe   job.Recipe
	Hash     digest.Sum // R
	Sequence job.Sequence
	SGD      optim.SGD
}

// NewJob derives what follows from a recipe.
func NewJob(id string, r job.Recipe) *Job {
	return &Job{ID: id, Recipe: r, Hash: r.Hash(), Sequence: r.Sequence(), SGD: optim.FromJob(r.Optimizer)}
}

// ChunkFloats is how many floats a chunk on the wire holds unless a sender is
// set up otherwise: 512 kB, which NATS carries well below its payload limit.
const ChunkFloats = 128 << 10

// Chunks is how many chunks carry n floats when one holds at most size.
func Chunks(n, size int) int { return (n + size - 1) / size }

// Chunk returns the range of chunk i out of count over n floats. Receivers know
// the count from the message, so the size is the sender's to choose.
func Chunk(n, count, i int) (low, high int) { return i * n / count, (i + 1) * n / count }
