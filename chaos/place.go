package chaos

import (
	"fmt"
	"math/rand/v2"
)

// strike is one fault to come.
type strike struct {
	kind Kind
	nth  int    // of its kind, from 0
	step int    // it falls when so many steps are published
	roll uint64 // decides whom it hits
}

// place spreads faults, times of each kind, over a job of so many steps: each has
// a stretch of its own and a place in it by chance, in an order by chance.
func place(seed uint64, kinds []Kind, times, steps int) ([]strike, error) {
	r := rand.New(rand.NewPCG(seed, 0x6368616f73)) // "chaos"
	var plan []strike
	for nth := range times {
		for _, kind := range kinds {
			plan = append(plan, strike{kind: kind, nth: nth, roll: r.Uint64()})
		}
	}
	r.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	// The first step shows that the job runs; behind the last fault there must be
	// steps that it could have spoilt.
	const first = 1
	room := steps - first - stepsOfFault
	stretch := room / len(plan)
	if stretch < stepsOfFault {
		return nil, fmt.Errorf("a job of %d steps is too short for %d faults: give it at least %d, with more epochs or smaller batches, or ask for fewer kinds",
			steps, len(plan), first+stepsOfFault+stepsOfFault*len(plan))
	}
	for i := range plan {
		// Faults take steps to heal, so most of a stretch is left behind its fault.
		plan[i].step = first + i*stretch + r.IntN(max(stretch/3, 1))
	}
	return plan, nil
}
