package kernels

import "convoy/tree"

// leafFloats bounds the memory for the sums of micro-batches that wait to be added
// in the tree; a larger gradient is computed some output channels at a time.
const leafFloats = 1 << 20

// convBackwardWeights is the job of ConvBackwardWeights: a task is some of the
// output channels of one micro-batch, whose sums it writes to the micro-batch's
// leaf.
type convBackwardWeights struct {
	*plan
	x, gy   []float32
	cuts    []int
	scratch []scratch
	rows    operand // its layout alone: the rows of gw in panels
	low     int     // the round's first panel
	panels  int     // of the round
	parts   int     // of the panels
	width   int     // floats of a leaf: the round's rows of gw, then of gb
	leaves  []float32
	add     treeAdd
}

func (p *Pool) convBackwardWeights(s Conv, x, gy []float32, cuts []int, gw, gb []float32) {
	j := &p.ops.backwardWeights
	j.plan, j.x, j.gy, j.cuts, j.scratch = p.plan(s), x, gy, cuts, p.scratch
	j.rows.layout(s.O, 0)
	leaves := len(cuts) - 1
	round := max(1, min(j.rows.panels(), leafFloats/(leaves*3*(j.k+1))))
	j.leaves = grow(j.leaves, leaves*3*round*(j.k+1))
	for j.low = 0; j.low < j.rows.panels(); j.low += round {
		j.panels = min(round, j.rows.panels()-j.low)
		row, end := j.rows.first(j.low), j.rows.first(j.low+j.panels)
		j.width = (end - row) * (j.k + 1)
		j.parts = p.parts(leaves, j.panels)
		p.run(leaves*j.parts, j)
		p.treeAdd(j, gw[row*j.k:end*j.k], 0)
		if gb != nil {
			p.treeAdd(j, gb[row:end], (end-row)*j.k)
		}
	}
}

func (j *convBackwardWeights) do(thread, task int) {
	m, part := task/j.parts, task%j.parts
	low, high := j.low+j.panels*part/j.parts, j.low+j.panels*(part+1)/j.parts
	row, end := j.rows.first(low), j.rows.first(high)
	leaf := j.leaves[m*j.width:][:j.width]
	at := row - j.rows.first(j.low)
	roundRows := j.width / (j.k + 1)
	gb := leaf[roundRows*j.k+at:][:end-row]
	clear(gb)
	a := &j.scratch[thread].gradient
	a.rowStride = j.pixels
	c := columns{base: j.taps, dst: leaf[at*j.k:], out: j.weight, stride: j.k}
	for first := j.cuts[m]; first < j.cuts[m+1]; first += j.sumGroup {
		n := min(j.sumGroup, j.cuts[m+1]-first)
		a.reshape(end-row, n*j.pixels)
		a.src, a.packOffset = j.gy[first*j.s.Out()+row*j.pixels:], j.sumsAt
		for i := range a.panels() {
			a.pack(i)
		}
		c.x = j.image.of(j.x[first*j.s.In():(first+n)*j.s.In()], &j.scratch[thread])
		c.runs = j.sumRuns
		if len(c.runs) == 1 {
			one := &j.scratch[thread].run
			one[0].off = j.sums[:n*j.pixels]
			c.runs = one[:]
		}
		a.multiply(0, a.panels(), &c)
		a.addSums(gb)
		c.add = true
	}
}

// addSums adds the sum of each row to dst, in pieces of k.
func (a *operand) addSums(dst []float32) {
	for p := range a.panels() {
		row := a.first(p)
		var t0, t1, t2 float32
		for k := 0; k < a.k; k += piece {
			to := min(k+piece, a.k)
			var s0, s1, s2 float32
			if p < a.n3 {
				for _, r := range a.three[p*a.k+k : p*a.k+to] {
					s0 += r[0]
					s1 += r[1]
					s2 += r[2]
				}
			} else {
				for _, r := range a.two[(p-a.n3)*a.k+k : (p-a.n3)*a.k+to] {
					s0 += r[0]
					s1 += r[1]
				}
			}
			t0 += s0
			t1 += s1
			t2 += s2
		}
		totals := [3]float32{t0, t1, t2}
		for i := range a.first(p+1) - row {
			dst[row+i] += totals[i]
		}
	}
}

// treeAdd is the job that adds the leaves: a task is a segment of them.
type treeAdd struct {
	*convBackwardWeights
	dst []float32
	at  int // of dst in a leaf
}

// treeSegment is how many floats of the leaves are added by one task.
const treeSegment = 1 << 12

func (p *Pool) treeAdd(j *convBackwardWeights, dst []float32, at int) {
	j.add = treeAdd{j, dst, at}
	p.run((len(dst)+treeSegment-1)/treeSegment, &j.add)
}

func (t *treeAdd) do(_, task int) {
	low := task * treeSegment
	high := min(low+treeSegment, len(t.dst))
	if i := t.sum(0, len(t.cuts)-1, low, high); i >= 0 {
		copy(t.dst[low:high], t.leaf(i, low, high))
	}
}

func (t *treeAdd) leaf(i, low, high int) []float32 {
	return t.leaves[i*t.width+t.at:][low:high]
}

// sum adds the micro-batches from first to end as tree.Sum does, in place, and
// returns the leaf that holds the sum, or −1 if none of them has examples.
func (t *treeAdd) sum(first, end, low, high int) int {
	if end-first == 1 {
		if t.cuts[first] == t.cuts[end] {
			return -1
		}
		return first
	}
	left, right := tree.Node{Low: first, High: end}.Children()
	l := t.sum(left.Low, left.High, low, high)
	r := t.sum(right.Low, right.High, low, high)
	if l < 0 {
		return r
	}
	if r >= 0 {
		tree.Add(t.leaf(l, low, high), t.leaf(r, low, high))
	}
	return l
}
