package compute

import (
	"time"

	"convoy/state"
	"convoy/tree"
)

// simulated stands in for Node where the recipe says so: it sleeps, for all nodes of
// a plan together as long as the recipe has it, and gives zeros for a gradient, no
// loss, and nothing right. It measures what a cluster costs beside the arithmetic.
func (c *Computer) simulated(t int, n tree.Node, grad []float32) state.Sums {
	time.Sleep(c.job.Recipe.Simulated() * time.Duration(n.High-n.Low) / time.Duration(max(c.planned, 1)))
	clear(grad)
	return state.Sums{Examples: state.Examples(c.job.Sequence, t, n.Low, n.High)}
}
