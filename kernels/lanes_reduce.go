package kernels

import (
	"math/bits"
	"unsafe"
)

// laneChunk is how many gradients a task of laneReduce sums.
const laneChunk = 128

// laneReduce is the job that sums the groups' gradients: a task is some weights
// or biases of a stage.
type laneReduce Lanes

// chunks is the number of tasks.
func (l *Lanes) chunks() int {
	n := 0
	for _, s := range l.stages {
		n += s.chunks()
	}
	return n
}

func (s *laneStage) chunks() int { return (s.gradient() + laneChunk - 1) / laneChunk }

// reduceSpace is the scratch of a task: the sums of groups, and a slice for each
// level of the tree.
func (l *Lanes) reduceSpace() int { return laneChunk * (lane + bits.Len(uint(len(l.micros)))) }

func (l *laneReduce) do(thread, task int) {
	space := l.jobs.pool.space(thread, (*Lanes)(l).reduceSpace())
	sum, space := space[:laneChunk*lane], space[laneChunk*lane:]
	for i, s := range l.stages {
		if n := s.chunks(); task >= n {
			task -= n
			continue
		}
		low := task * laneChunk
		dst := space[:min(laneChunk, s.gradient()-low)]
		r := laneSumTree{l, &l.jobs.pool.locals[thread].lanes, s, low, sum}
		r.node(0, len(l.micros), dst, space[laneChunk:])
		weights := s.conv.Weights()
		if low < weights {
			copy(l.jobs.gw[i][low:], dst)
		}
		if low+len(dst) > weights {
			skip := max(0, weights-low)
			copy(l.jobs.gb[i][low+skip-weights:], dst[skip:])
		}
		return
	}
}

// laneSumTree sums gradients from low on of a stage.
type laneSumTree struct {
	*laneReduce
	*laneThread
	stage *laneStage
	low   int
	sum   []float32 // of groups
}

// node is tree.Sum over micro-batches low to high.
func (t laneSumTree) node(low, high int, dst, space []float32) bool {
	if high-low == 1 {
		return t.leaf(&t.micros[low], dst)
	}
	mid := (low + high) / 2
	if !t.node(low, mid, dst, space) {
		return t.node(mid, high, dst, space)
	}
	other := space[:len(dst)]
	if t.node(mid, high, other, space[laneChunk:]) {
		for i, v := range other {
			dst[i] += v
		}
	}
	return true
}

// leaf sums one micro-batch, and reports whether it has examples.
func (t laneSumTree) leaf(m *laneMicro, dst []float32) bool {
	if m.examples == 0 {
		return false
	}
	x := t.lanes(m.group, len(dst))
	if m.examples > lane {
		x = t.addGroups(m, len(dst))
	}
	present := min(m.examples, lane)
	whole := 0
	if log := bits.Len(uint(present)) - 1; present == 1<<log && log >= 2 {
		if whole = len(dst) &^ 3; whole > 0 {
			t.fold = laneFold{x: unsafe.Pointer(&x[m.first]), y: unsafe.Pointer(&dst[0]), n: uintptr(whole)}
			active.laneFold[log](&t.fold)
		}
	}
	for i := whole; i < len(dst); i++ {
		v := laneValues(x[i*lane:])
		dst[i] = sumLanes(&v, m.first, present)
	}
	return true
}

// lanes is a group's sums of the n gradients.
func (t laneSumTree) lanes(group, n int) []float32 {
	return t.stage.sums[(group*t.stage.gradient()+t.low)*lane:][:n*lane]
}

// addGroups adds a micro-batch's groups in order.
func (t laneSumTree) addGroups(m *laneMicro, n int) []float32 {
	sum := t.sum[:n*lane]
	x := t.lanes(m.group, n)
	for rest, group := m.examples-lane, m.group+1; rest > 0; rest, group = rest-lane, group+1 {
		more := t.lanes(group, n)
		if rest >= lane {
			t.rows = rows{
				x: unsafe.Pointer(&more[0]), g: unsafe.Pointer(&x[0]), y: unsafe.Pointer(&sum[0]), rows: 1, n: uintptr(n * lane),
			}
			active.element[opAdd](&t.rows)
		} else {
			copy(sum, x)
			for i := range n {
				for l := range rest {
					sum[i*lane+l] += more[i*lane+l]
				}
			}
		}
		x = sum
	}
	return sum
}

// sumLanes adds n lanes from first on as a binary tree; those after them are
// absent.
func sumLanes(v *laneValues, first, n int) float32 {
	if n == lane {
		return (((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]))) +
			(((v[8] + v[9]) + (v[10] + v[11])) + ((v[12] + v[13]) + (v[14] + v[15])))
	}
	for ; n > 1; n = (n + 1) / 2 {
		for i := range n / 2 {
			v[first+i] = v[first+2*i] + v[first+2*i+1]
		}
		if n%2 == 1 {
			v[first+n/2] = v[first+n-1]
		}
	}
	return v[first]
}
