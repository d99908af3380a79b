package ps

import (
	"convoy/api"
	"convoy/state"
)

// rules switches rules of the protocol off, one a field; the zero value has all
// of them on. Only tests in this package can set it: they show that the
// simulation finds what goes wrong in a cluster without the rule, and so what
// the rule is for.
type rules struct {
	noReceipt    bool // a gradient is published whoever holds the one before
	noAdoption   bool // a new leader goes on from what it holds itself
	noMajority   bool // steps are proposed that the leader alone may hold
	noTerms      bool // nobody can tell an old leader from a new one
	anyChain     bool // partials are taken whatever state they were computed on
	countTwice   bool // a partial that comes again is added again
	zeros        bool // a micro-batch without examples is a gradient of zeros
	eagerSaves   bool // a state is written to disk before its step is committed
	dropRows     bool // who does not lead keeps no rows of steps that are not committed
	noRest       bool // a job that is to be paused goes on
	dropGradient bool // nobody keeps the gradient applied last for others

	// chunk sees each chunk of a gradient that a follower takes off the bus.
	chunk func(*Machine, *api.Gradient, []float32)
	// fetched is given a fetched gradient and returns what is taken for it.
	fetched func(*Machine, *state.Gradient) *state.Gradient
}
