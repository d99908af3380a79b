package kernels

import "fmt"

// RBF is the shape of a layer of Euclidean radial basis functions, which measure
// how far a vector is from each of some centres.
type RBF struct {
	I int // values of an input
	O int // centres
}

// Weights is the number of coordinates of the centres.
func (s RBF) Weights() int { return s.O * s.I }

// RBFForward computes, from x [N][I] and the centres w [O][I],
//
//	y[n][o] = Σ (x[n][i] − w[o][i])²
//
// in float64 over i in order; y, [N][O], is then rounded to float32.
func RBFForward(p *Pool, s RBF, n int, x, w, y []float32) {
	const op = "RBFForward"
	s.check(op, n, x, w, y)
	p.rbf(rbfJob{f: (*rbfJob).forward, s: s, tasks: n, x: x, w: w, y: y})
}

// RBFBackwardData computes the gradient of x from gy, that of y:
//
//	gx[n][i] = Σ 2·gy[n][o]·(x[n][i] − w[o][i])
//
// in float64 over o in order, then rounded to float32.
func RBFBackwardData(p *Pool, s RBF, n int, x, w, gy, gx []float32) {
	const op = "RBFBackwardData"
	s.check(op, n, x, w, gy)
	length(op, "gx", len(gx), n*s.I)
	p.rbf(rbfJob{f: (*rbfJob).backwardData, s: s, tasks: n, x: x, w: w, y: gy, gx: gx})
}

// RBFBackwardWeights computes the gradient of w from gy, that of y:
//
//	gw[o][i] = Σ 2·gy[n][o]·(w[o][i] − x[n][i])
//
// in each micro-batch in float64 over its examples in order, then rounded to
// float32; the micro-batches, whose boundaries cuts are, are added as tree.Sum
// does.
func RBFBackwardWeights(p *Pool, s RBF, x, w, gy []float32, cuts []int, gw []float32) {
	const op = "RBFBackwardWeights"
	s.check(op, lastCut(op, cuts), x, w, gy)
	length(op, "gw", len(gw), s.Weights())
	p.reserve((2 + stackDepth(cuts)) * s.I)
	p.rbf(rbfJob{f: (*rbfJob).backwardWeights, s: s, tasks: s.O, x: x, w: w, y: gy, gx: gw, cuts: cuts})
}

func (s RBF) check(op string, n int, x, w, y []float32) {
	if s.I < 1 || s.O < 1 {
		panic(fmt.Sprintf("kernels: %s: %d centres of %d values, want at least 1 of each", op, s.O, s.I))
	}
	length(op, "x", len(x), n*s.I)
	length(op, "w", len(w), s.Weights())
	length(op, "y", len(y), n*s.O)
}

// rbfJob is the job of the radial basis functions: a task is an example, or a
// centre for the gradient of the centres.
type rbfJob struct {
	f     func(j *rbfJob, thread, task int)
	p     *Pool
	s     RBF
	tasks int
	x, w  []float32
	y     []float32 // or its gradient
	gx    []float32 // or gw
	cuts  []int
}

func (p *Pool) rbf(j rbfJob) {
	j.p = p
	p.ops.rbf = j
	p.run(j.tasks, &p.ops.rbf)
	p.ops.rbf = rbfJob{}
}

func (j *rbfJob) do(thread, task int) { j.f(j, thread, task) }

func (j *rbfJob) forward(_, n int) {
	x, y := plane(j.x, n, j.s.I), plane(j.y, n, j.s.O)
	for o := range y {
		sum := 0.0
		for i, c := range plane(j.w, o, j.s.I) {
			d := float64(x[i]) - float64(c)
			sum += float64(d * d)
		}
		y[o] = float32(sum)
	}
}

func (j *rbfJob) backwardData(_, n int) {
	x, gy, gx := plane(j.x, n, j.s.I), plane(j.y, n, j.s.O), plane(j.gx, n, j.s.I)
	for i, v := range x {
		sum := 0.0
		for o, g := range gy {
			sum += float64(2 * float64(g) * (float64(v) - float64(j.w[o*j.s.I+i])))
		}
		gx[i] = float32(sum)
	}
}

func (j *rbfJob) backwardWeights(thread, o int) {
	width := j.s.I
	space := j.p.space(thread, (2+stackDepth(j.cuts))*width)
	sums, stack := doubles(space[:2*width]), space[2*width:]
	centre, s := plane(j.w, o, width), exampleSums{stack: stack, width: width}
	for m := range len(j.cuts) - 1 {
		clear(sums)
		for n := j.cuts[m]; n < j.cuts[m+1]; n++ {
			g, x := 2*float64(j.y[n*j.s.O+o]), plane(j.x, n, width)
			for i, c := range centre {
				sums[i] += float64(g * (float64(c) - float64(x[i])))
			}
		}
		s.push(sums, j.cuts[m] < j.cuts[m+1])
	}
	copy(plane(j.gx, o, width), stack)
}
