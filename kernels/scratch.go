package kernels

// scratch is the memory of one thread of a pool; it grows to the largest
// operation seen and stays.
type scratch struct {
	image    []float32
	gradient operand
	run      [1]run
}

// operations holds what a pool keeps from one operation to the next: tables and
// jobs, so that starting one allocates nothing.
type operations struct {
	plans           map[Conv]*plan
	forward         convForward
	backwardData    convBackwardData
	backwardWeights convBackwardWeights
	planes          planes
	elements        elements
	losses          lossJob
}

// plan returns the tables of s.
func (p *Pool) plan(s Conv) *plan {
	t, ok := p.ops.plans[s]
	if !ok {
		if p.ops.plans == nil {
			p.ops.plans = map[Conv]*plan{}
		}
		t = newPlan(s)
		p.ops.plans[s] = t
	}
	return t
}

// grow returns v with length n, in new memory if it is too short; the elements
// are not kept.
func grow[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}

// parts returns into how many parts a task is to be cut when there are tasks of
// them, so that no thread stays idle; at most limit.
func (p *Pool) parts(tasks, limit int) int {
	if tasks >= 2*p.threads {
		return 1
	}
	return min(limit, (2*p.threads+tasks-1)/tasks)
}
