package kernels

import "unsafe"

// packDepth is how many input channels a task of packing gathers at a time.
const packDepth = 16

// pack transforms the weights into panels.
func (q *winogradPass) pack(p *Pool, w []float32) {
	q.u = grow(q.u, winogradPoints*q.uSize)
	q.pool, q.w = p, w
	p.reserve(transformTemp + q.packSpace())
	p.run(q.panels()*q.packSlices(), (*winogradPack)(q))
	q.pool, q.w = nil, nil
}

// packSlices is into how many tasks the input channels of a panel are cut.
func (q *winogradPass) packSlices() int { return (q.k + 4*packDepth - 1) / (4 * packDepth) }

func (q *winogradPass) packStep() int { return packDepth*q.isa.cols + 16 }

func (q *winogradPass) packSpace() int { return q.taps * q.taps * q.packStep() }

// A winogradPack packs a slice of the input channels of a panel.
type winogradPack winogradPass

func (j *winogradPack) do(thread, task int) {
	q := (*winogradPass)(j)
	slices := partition{q.k, q.packSlices()}
	o, slice := task/slices.parts*q.isa.cols, task%slices.parts
	space := q.pool.space(thread, transformTemp+q.packSpace())
	taps, step, width := space[transformTemp:], q.packStep(), q.panelWidth(o)
	t := &q.pool.locals[thread].transform
	*t = transform{
		src: unsafe.Pointer(&taps[0]), srcRow: uintptr(4 * q.taps * step), srcColumn: uintptr(4 * step),
		dstRow: uintptr(4 * 6 * q.uSize), dstColumn: uintptr(4 * q.uSize),
		temp: unsafe.Pointer(&space[0]), constants: &winogradTable,
	}
	end := slices.from(slice + 1)
	for k := slices.from(slice); k < end; k += packDepth {
		depth := min(packDepth, end-k)
		for c := range width {
			q.gather(taps[c:], o+c, k, depth, width)
		}
		t.dst, t.groups = unsafe.Pointer(&q.u[o*q.k+k*width]), uintptr(depth*width/16)
		q.isa.transforms[kernel2+q.taps-2](t)
	}
	*t = transform{}
}

// gather writes the taps of output o and depth inputs from k on to a column of
// [taps][depth][width]; zeros where there is no such output.
func (q *winogradPass) gather(column []float32, o, k, depth, width int) {
	n, first, step := q.taps*q.taps, 0, q.packStep()
	if q.turned {
		first, step = (n-1)*step, -step
	}
	for d := range depth {
		i := first + d*width
		if o >= q.o {
			for range n {
				column[i] = 0
				i += step
			}
			continue
		}
		for _, v := range q.w[(k+d)*q.kStep+o*q.oStep:][:n] {
			column[i] = v
			i += step
		}
	}
}
