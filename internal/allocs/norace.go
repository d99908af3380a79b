//go:build !race

package allocs

// Race reports whether the race detector is on: sync.Pool then forgets on
// purpose, and what draws on one allocates.
const Race = false
