package kernels

// AffineForward computes y = scale[c]·x + shift[c], product and sum each rounded,
// for each channel c of some pixels. y may be x.
func AffineForward(p *Pool, pixels, c int, x Maps, scale, shift []float32, y Maps) {
	const op = "AffineForward"
	x.check(op, "x", pixels, c)
	y.check(op, "y", pixels, c)
	length(op, "scale", len(scale), c)
	length(op, "shift", len(shift), c)
	batch := max(1, taskFloats/max(c, 1))
	p.ops.affine.set(affineJob{p: p, c: c, x: x, y: y, scale: scale, shift: shift, pixels: batch, all: pixels})
	p.run((pixels+batch-1)/batch, (*affineForward)(&p.ops.affine))
	p.ops.affine.set(affineJob{})
}

// AffineBackward computes, for examples of some pixels, the gradients of x, scale
// and shift from gy, that of y:
//
//	gx        = gy·scale[c]
//	gscale[c] = Σ gy·x
//	gshift[c] = Σ gy
//
// The sums are float64 in each micro-batch: in each example over its pixels in
// order, then over the examples in order; they are rounded to float32, and the
// micro-batches, whose boundaries cuts are, are added as tree.Sum does. gx may be
// gy.
func AffineBackward(p *Pool, pixels, c int, x, gy Maps, scale []float32, cuts []int, gx Maps, gscale, gshift []float32) {
	const op = "AffineBackward"
	n := lastCut(op, cuts)
	x.check(op, "x", n*pixels, c)
	gy.check(op, "gy", n*pixels, c)
	gx.check(op, "gx", n*pixels, c)
	length(op, "scale", len(scale), c)
	length(op, "gscale", len(gscale), c)
	length(op, "gshift", len(gshift), c)
	j := &p.ops.affine
	j.sums = grown(j.sums, 2*c*n)
	j.set(affineJob{p: p, c: c, x: x, g: gy, y: gx, scale: scale, pixels: pixels, all: n * pixels})
	p.run(n, (*affineBackward)(j))
	j.add(cuts, gscale, gshift)
	j.set(affineJob{})
}

// affineJob is the job of both; a task is some pixels. sums, of scale and then of
// shift for each example, stays from call to call.
type affineJob struct {
	p            *Pool
	c            int
	x, g, y      Maps
	scale, shift []float32
	pixels, all  int // of a task, and altogether
	sums         []float64
	stack        []float32
}

func (j *affineJob) set(to affineJob) {
	to.sums, to.stack = j.sums, j.stack
	*j = to
}

type affineForward affineJob

func (j *affineForward) do(_, task int) {
	for q := task * j.pixels; q < min((task+1)*j.pixels, j.all); q++ {
		x, y := j.x.V[q*j.x.Pitch:][:j.c], j.y.V[q*j.y.Pitch:][:j.c]
		for i, s := range j.scale {
			y[i] = float32(s*x[i]) + j.shift[i]
		}
	}
}

type affineBackward affineJob

func (j *affineBackward) do(_, n int) {
	sums := j.sums[2*j.c*n:][:2*j.c]
	clear(sums)
	products, plain := sums[:j.c], sums[j.c:]
	for q := n * j.pixels; q < (n+1)*j.pixels; q++ {
		x, g, gx := j.x.V[q*j.x.Pitch:][:j.c], j.g.V[q*j.g.Pitch:][:j.c], j.y.V[q*j.y.Pitch:][:j.c]
		for i, s := range j.scale {
			v := g[i]
			products[i] += float64(float64(v) * float64(x[i]))
			plain[i] += float64(v)
			gx[i] = s * v
		}
	}
}

// add adds the examples' sums up.
func (j *affineJob) add(cuts []int, gscale, gshift []float32) {
	width := 2 * j.c
	j.stack = grown(j.stack, width*stackDepth(cuts))
	s := exampleSums{stack: j.stack, width: width}
	for m := range len(cuts) - 1 {
		low, high := cuts[m], cuts[m+1]
		if low == high {
			s.push(nil, false)
			continue
		}
		total := j.sums[width*low:][:width]
		for n := low + 1; n < high; n++ {
			for i, v := range j.sums[width*n:][:width] {
				total[i] += v
			}
		}
		s.push(total, true)
	}
	copy(gscale, s.at(0))
	copy(gshift, s.at(0)[j.c:])
}
