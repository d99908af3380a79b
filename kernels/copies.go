package kernels

import "unsafe"

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
	if c == 1 {
		CopyMaps(p, n*pixels, 1, Maps{x, 1}, y)
		return
	}
	p.transpose(transposition{maps: y, planes: x, n: n, c: c, pixels: pixels, toMaps: true})
}

// MapsToNCHW copies x to y, n examples of c planes of pixels, [N][C][H][W].
func MapsToNCHW(p *Pool, n, c, pixels int, x Maps, y []float32) {
	const op = "MapsToNCHW"
	x.check(op, "x", n*pixels, c)
	length(op, "y", len(y), n*c*pixels)
	if c == 1 {
		CopyMaps(p, n*pixels, 1, x, Maps{y, 1})
		return
	}
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
	args         []transposed
}

func (p *Pool) transpose(t transposition) {
	if t.n*t.c*t.pixels == 0 {
		return
	}
	t.args = p.ops.transposition.args
	if len(t.args) < p.threads {
		t.args = make([]transposed, p.threads)
	}
	t.batch = max(16, taskFloats/t.c&^3)
	t.tasks = (t.pixels + t.batch - 1) / t.batch
	j := &p.ops.transposition
	*j = t
	p.run(t.n*t.tasks, j)
	*j = transposition{args: t.args}
}

// step is how many pixels are moved at once for all channels, about as much as
// stays in the first cache.
func (t *transposition) step() int { return max(16, 4096/t.c&^3) }

func (t *transposition) do(thread, task int) {
	example, low := task/t.tasks, task%t.tasks*t.batch
	maps, planes := t.maps.from(example*t.pixels), t.planes[example*t.pixels*t.c:][:t.pixels*t.c]
	high := min(low+t.batch, t.pixels)
	for first := low; first < high; first += t.step() {
		t.block(&t.args[thread], maps, planes, first, min(t.step(), high-first))
	}
}

// block moves count pixels from first on: fours of pixels of fours of channels in
// vectors, the rest one by one.
func (t *transposition) block(a *transposed, maps Maps, planes []float32, first, count int) {
	c4, count4 := t.c&^3, count&^3
	if c4 > 0 && count4 > 0 {
		*a = transposed{
			planes: unsafe.Pointer(&planes[first]), planeStep: uintptr(4 * t.pixels),
			maps: maps.at(first, 0), pixelStep: uintptr(4 * maps.Pitch),
			channels: c4 / 4, pixels: count4 / 4,
		}
		if t.toMaps {
			active.toMaps(a)
		} else {
			active.fromMaps(a)
		}
	} else {
		c4 = 0
	}
	for c := range t.c {
		skip := count4
		if c >= c4 {
			skip = 0
		}
		t.plane(maps, planes[c*t.pixels+first+skip:][:count-skip], first+skip, c)
	}
}

// plane moves the pixels of one channel that begin at first.
func (t *transposition) plane(maps Maps, plane []float32, first, c int) {
	if len(plane) == 0 {
		return
	}
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

// transposed is the argument of an inner loop between planes and maps. The layout
// is known to internal/gen.
type transposed struct {
	planes    unsafe.Pointer
	planeStep uintptr // bytes from one channel to the next
	maps      unsafe.Pointer
	pixelStep uintptr // bytes from one pixel to the next
	channels  int     // fours of them
	pixels    int     // fours of them
}

// copyVectors are the inner loops between planes and maps.
type copyVectors struct {
	toMaps, fromMaps func(a *transposed)
}

var genericCopies = copyVectors{
	toMaps: func(a *transposed) {
		a.each(func(plane, pixel *float32) { *pixel = *plane })
	},
	fromMaps: func(a *transposed) {
		a.each(func(plane, pixel *float32) { *plane = *pixel })
	},
}

func (a *transposed) each(f func(plane, pixel *float32)) {
	for c := range 4 * a.channels {
		for i := range 4 * a.pixels {
			f(element(a.planes, uintptr(c)*a.planeStep, i), element(a.maps, uintptr(i)*a.pixelStep, c))
		}
	}
}
