package kernels

import "unsafe"

// laneMaps are feature maps of groups of examples, [group][c][padded h][padded
// w][16]. What is around the maps stays zero.
type laneMaps struct {
	c, h, w, padH, padW int
	v                   []float32
}

// rowBytes and planeBytes are from one row to the next and one channel to the
// next.
func (m *laneMaps) rowBytes() int   { return (m.w + 2*m.padW) * laneBytes }
func (m *laneMaps) planeBytes() int { return (m.h + 2*m.padH) * m.rowBytes() }

// floats is the number of values of one example, padding included.
func (m *laneMaps) floats() int { return m.c * m.planeBytes() / laneBytes }

// reserve makes room for some groups; new memory is zero, and so the padding is.
func (m *laneMaps) reserve(groups int) { m.v = grow(m.v, groups*m.floats()*lane) }

// at is channel c at row y and column x of a group's maps; they may lie in the
// padding.
func (m *laneMaps) at(group, c, y, x int) unsafe.Pointer {
	at := (group*m.c+c)*m.planeBytes() + (y+m.padH)*m.rowBytes() + (x+m.padW)*laneBytes
	return unsafe.Pointer(&m.v[at/4])
}

// row is row y of a channel, without its padding.
func (m *laneMaps) row(group, c, y int) []float32 {
	at := ((group*m.c+c)*m.planeBytes() + (y+m.padH)*m.rowBytes() + m.padW*laneBytes) / 4
	return m.v[at : at+m.w*lane]
}

// A laneGroup is the examples in the 16 lanes, −1 where there is none.
type laneGroup [lane]int

// A laneMicro is where the examples of a micro-batch are: in lane first and
// following ones of group and following ones.
type laneMicro struct {
	examples, group, first int
}

// divide puts the examples in groups: each micro-batch into its own lanes. Those
// of at most 8, 4, 2, 1 examples share groups with others.
func (l *Lanes) divide(cuts []int) {
	most := 0
	for m := range len(cuts) - 1 {
		most = max(most, cuts[m+1]-cuts[m])
	}
	width := 1 // of a micro-batch in a group
	for width < min(most, lane) {
		width *= 2
	}
	l.groups, l.micros, l.n = l.groups[:0], l.micros[:0], cuts[len(cuts)-1]
	free := lane // the first free lane of the last group
	for m := range len(cuts) - 1 {
		n := cuts[m+1] - cuts[m]
		micro := laneMicro{examples: n}
		for i := range n {
			if i%width == 0 {
				if free += width; free > lane-width {
					l.groups = append(l.groups, laneGroup{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1})
					free = 0
				}
			}
			if i == 0 {
				micro.group, micro.first = len(l.groups)-1, free
			}
			l.groups[len(l.groups)-1][free+i%width] = cuts[m] + i
		}
		l.micros = append(l.micros, micro)
	}
}

// load sets the maps of a group, without their padding, to those of its examples
// in v, [N][c][h][w]; lanes without an example to zero.
func (m *laneMaps) load(b *laneBlocks, group int, g *laneGroup, v []float32) {
	m.move(b, group, g, v, true)
}

// save is the inverse of load; lanes without an example are left out.
func (m *laneMaps) save(b *laneBlocks, group int, g *laneGroup, v []float32) {
	m.move(b, group, g, v, false)
}

func (m *laneMaps) move(b *laneBlocks, group int, g *laneGroup, v []float32, load bool) {
	rows, width := m.c*m.h, m.w
	if m.padH == 0 && m.padW == 0 {
		rows, width = 1, m.c*m.h*m.w // the rows are one
	}
	for l := 0; l < lane; l += 4 {
		e := [4]int(g[l : l+4])
		whole := width / 4 * 4
		if min(e[0], e[1], e[2], e[3]) < 0 {
			whole = 0
		}
		if whole > 0 {
			m.moveBlocks(b, group, l, e, v, rows, width, load)
		}
		if whole < width {
			m.moveSingly(group, l, e, v, rows, width, whole, load)
		}
	}
}

// moveBlocks moves the whole blocks of 4 pixels of rows of the 4 examples e that
// begin at a lane.
func (m *laneMaps) moveBlocks(b *laneBlocks, group, first int, e [4]int, v []float32, rows, width int, load bool) {
	size, f := m.c*m.h*m.w, active.laneSave
	if load {
		f = active.laneLoad
	}
	perPlane := m.h
	if rows == 1 {
		perPlane = 1
	}
	*b = laneBlocks{rows: uintptr(perPlane), cols: uintptr(width / 4), exampleSkip: uintptr(4 * (width % 4))}
	b.lanesSkip = uintptr((width%4 + 2*m.padW) * laneBytes)
	for c := 0; c < rows; c += perPlane {
		b.lanes = moved(m.at(group, c/perPlane, 0, 0), 4*first)
		for i, example := range e {
			b.examples[i] = unsafe.Pointer(&v[example*size+c*width])
		}
		f(b)
	}
}

// moveSingly moves the pixels from some on of rows.
func (m *laneMaps) moveSingly(group, first int, e [4]int, v []float32, rows, width, from int, load bool) {
	size := m.c * m.h * m.w
	for r := range rows {
		at := m.at(group, r/m.h, r%m.h, 0)
		for i, example := range e {
			for x := from; x < width; x++ {
				p := element(at, uintptr(x*laneBytes), first+i)
				switch {
				case load && example < 0:
					*p = 0
				case load:
					*p = v[example*size+r*width+x]
				case example >= 0:
					v[example*size+r*width+x] = *p
				}
			}
		}
	}
}
