package kernels

// AddMaps computes sum += x for c channels of some pixels.
func AddMaps(p *Pool, pixels, c int, x, sum Maps) {
	const op = "AddMaps"
	x.check(op, "x", pixels, c)
	sum.check(op, "sum", pixels, c)
	p.elements(opAdd, pixels, c, x, sum, sum)
}

func plus(x, sum float32) float32 { return sum + x }

// CopyMaps copies c channels of some pixels of x to y.
func CopyMaps(p *Pool, pixels, c int, x, y Maps) {
	const op = "CopyMaps"
	x.check(op, "x", pixels, c)
	y.check(op, "y", pixels, c)
	j := &p.ops.copies
	*j = copyJob{x: x, y: y, pixels: pixels, c: c, batch: max(1, taskFloats/max(c, 1))}
	p.run((pixels+j.batch-1)/j.batch, j)
	*j = copyJob{}
}

// copyJob is the job of CopyMaps: a task is some pixels.
type copyJob struct {
	x, y             Maps
	pixels, c, batch int
}

func (j *copyJob) do(_, task int) {
	low, c := task*j.batch, j.c
	high := min(low+j.batch, j.pixels)
	if j.x.Pitch == c && j.y.Pitch == c {
		copy(j.y.V[low*c:high*c], j.x.V[low*c:])
		return
	}
	for i := low; i < high; i++ {
		copy(j.y.V[i*j.y.Pitch:][:c], j.x.V[i*j.x.Pitch:])
	}
}

// NCHWToMaps copies x, n examples of c planes of pixels, [N][C][H][W], to y.
func NCHWToMaps(p *Pool, n, c, pixels int, x []float32, y Maps) {
	const op = "NCHWToMaps"
	length(op, "x", len(x), n*c*pixels)
	y.check(op, "y", n*pixels, c)
	p.transpose(transposition{maps: y, planes: x, n: n, c: c, pixels: pixels, toMaps: true})
}

// MapsToNCHW copies x to y, n examples of c planes of pixels, [N][C][H][W].
func MapsToNCHW(p *Pool, n, c, pixels int, x Maps, y []float32) {
	const op = "MapsToNCHW"
	x.check(op, "x", n*pixels, c)
	length(op, "y", len(y), n*c*pixels)
	p.transpose(transposition{maps: x, planes: y, n: n, c: c, pixels: pixels})
}

// transposition is the job between NCHW and maps: a task is some pixels of one
// example.
type transposition struct {
	maps         Maps
	planes       []float32
	n, c, pixels int
	toMaps       bool
	batch, tasks int // pixels of a task, tasks of an example
}

// transposeBlock is how many pixels and channels are moved at once: a block of
// both sides stays in the cache.
const transposeBlock = 16

func (p *Pool) transpose(t transposition) {
	if t.n*t.c*t.pixels == 0 {
		return
	}
	t.batch = (taskFloats/t.c/transposeBlock + 1) * transposeBlock
	t.tasks = (t.pixels + t.batch - 1) / t.batch
	j := &p.ops.transposition
	*j = t
	p.run(t.n*t.tasks, j)
	*j = transposition{}
}

func (t *transposition) do(_, task int) {
	example, low := task/t.tasks, task%t.tasks*t.batch
	maps, planes := t.maps.from(example*t.pixels), t.planes[example*t.pixels*t.c:][:t.pixels*t.c]
	for first := low; first < min(low+t.batch, t.pixels); first += transposeBlock {
		count := min(transposeBlock, t.pixels-first)
		for c0 := 0; c0 < t.c; c0 += transposeBlock {
			for c := c0; c < min(c0+transposeBlock, t.c); c++ {
				t.block(maps, planes[c*t.pixels+first:][:count], first, c)
			}
		}
	}
}

// block moves some pixels of one channel.
func (t *transposition) block(maps Maps, plane []float32, first, c int) {
	v, pitch := maps.V[first*maps.Pitch+c:], maps.Pitch
	if t.toMaps {
		for i, x := range plane {
			v[i*pitch] = x
		}
		return
	}
	for i := range plane {
		plane[i] = v[i*pitch]
	}
}
