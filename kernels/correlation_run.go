package kernels

import "unsafe"

// cacheFloats is how much of the input a task should work on: half of a second
// level cache, beside a panel of weights.
const cacheFloats = 96 << 10

// divide chooses the way the call goes and returns the number of tasks.
func (c *correlation) divide(p *Pool, n int) int {
	call := &c.call
	one := c.kh*c.kw == 1 && c.strideH == 1 && c.strideW == 1
	if one && c.top == 0 && c.left == 0 && c.out == (lattice{c.inH, c.inW, 0, 0, 1, 1}) {
		call.flat = true
		pixels := n * c.rows * c.width
		limit := max(1, cacheFloats/c.channels/c.isa.rows) * c.isa.rows
		call.parts = newPartition(pixels, min(limit, max(c.isa.rows, (pixels+2*p.threads-1)/(2*p.threads))))
		return call.parts.parts
	}
	inside := c.top >= 0 && c.left >= 0 && c.top+c.inRows(c.rows) <= c.inH && c.left+c.inWidth() <= c.inW
	call.padded = !inside || c.kw > 1 && call.in.Pitch != c.channels
	limit := 1
	for limit < c.rows && c.inRows(limit+1)*c.inWidth()*c.channels <= cacheFloats {
		limit++
	}
	parts := max(p.parts(n, c.rows), (c.rows+limit-1)/limit)
	call.parts = newPartition(c.rows, (c.rows+parts-1)/parts)
	return n * call.parts.parts
}

// inRows and inWidth are how many rows that many output rows read, and how many
// pixels of each.
func (c *correlation) inRows(rows int) int { return (rows-1)*c.strideH + c.kh }

func (c *correlation) inWidth() int { return (c.width-1)*c.strideW + c.kw }

// scratch is the floats that a task needs.
func (c *correlation) scratch() int {
	n := maxRows * c.isa.cols
	if c.call.padded {
		longest := (c.rows + c.call.parts.parts - 1) / c.call.parts.parts
		n += c.inRows(longest) * c.inWidth() * c.channels
	}
	return n
}

// A correlationJob computes a block of output pixels a task.
type correlationJob correlation

func (j *correlationJob) do(thread, task int) {
	c := (*correlation)(j)
	call := &c.call
	b := &call.pool.locals[thread].block
	b.scratch = call.pool.space(thread, c.scratch())
	b.tile = &call.pool.locals[thread].tile
	b.outPixel, b.inPixel = 4*call.out.Pitch, 4*call.in.Pitch
	if call.flat {
		first, n := call.parts.part(task)
		strips := newPartition(n, stripTiles*c.isa.rows)
		for i := range strips.parts {
			from, width := strips.part(i)
			b.rows, b.width = 1, width
			b.ahead = width * b.inPixel
			b.in, b.out = call.in.at(first+from, 0), call.out.at(first+from, 0)
			c.compute(b)
		}
	} else {
		part := task % call.parts.parts
		c.takeRows(b, task/call.parts.parts, call.parts.from(part), call.parts.from(part+1))
		c.compute(b)
	}
	*b.tile, *b = tile{}, block{}
}

// stripTiles is how many tiles of pixels a task takes through all outputs
// together: their input stays in the first level cache, and they are written once.
const stripTiles = 4

// compute computes all outputs of the block.
func (c *correlation) compute(b *block) {
	for o := 0; o < c.outputs; o += c.isa.cols {
		if width := panelWidth(c.outputs-o, c.isa.cols); o+width <= c.outputs {
			c.panel(b, o, width)
		} else {
			c.lastPanel(b, o, width)
		}
	}
}

// A block is the output pixels of a task: rows of width pixels, by the place of
// the first and the bytes to the next row and pixel.
type block struct {
	rows, width       int
	in, out           unsafe.Pointer
	inRow, outRow     int
	inPixel, outPixel int
	inLine            int // from one kernel row to the next
	ahead             int // from where tiles read to what they prefetch
	tile              *tile
	scratch           []float32
}

// takeRows makes b the output rows from low to high of an example.
func (c *correlation) takeRows(b *block, example, low, high int) {
	call, o := &c.call, c.out
	b.rows, b.width = high-low, c.width
	b.out = call.out.at((example*o.h+o.top+low*o.strideH)*o.w+o.left, 0)
	b.outRow = o.strideH * o.w * b.outPixel
	b.outPixel *= o.strideW
	top := c.top + low*c.strideH
	if call.padded {
		size := c.inRows(b.rows) * c.inWidth() * c.channels
		rows := b.scratch[:size]
		b.scratch = b.scratch[size:]
		c.pad(rows, example, top)
		b.in = unsafe.Pointer(&rows[0])
		b.inPixel = 4 * c.channels
		b.inLine = c.inWidth() * b.inPixel
	} else {
		b.in = call.in.at((example*c.inH+top)*c.inW+c.left, 0)
		b.inLine = c.inW * b.inPixel
	}
	b.inRow = c.strideH * b.inLine
	b.inPixel *= c.strideW
}

// pad copies the rows from top on, from column left on, of an example with zeros
// where they are outside of it.
func (c *correlation) pad(dst []float32, example, top int) {
	line := c.inWidth() * c.channels
	for h := top; len(dst) > 0; h++ {
		row := dst[:line]
		dst = dst[line:]
		if h < 0 || h >= c.inH {
			clear(row)
		} else {
			copyRow(row, c.call.in.from((example*c.inH+h)*c.inW), 0, c.channels, c.left, c.inW)
		}
	}
}

// setPiece points b's tile at piece i of the panel of outputs from o on.
func (c *correlation) setPiece(b *block, o, width, i int) {
	t, k := b.tile, c.pieces[i]
	run := c.kw * c.channels
	t.aRow = uintptr(b.inPixel)
	t.ahead = uintptr(b.ahead)
	t.b = unsafe.Pointer(&c.panels[o*c.depth()+(k.row*run+k.first)*width])
	t.bStep = uintptr(4 * width)
	t.k, t.segs = uintptr(k.n), uintptr(k.rows)
	t.aSeg = uintptr(b.inLine - 4*k.n)
	t.low = noLow
	if i == len(c.pieces)-1 {
		t.low = c.call.low
	}
}

// panel computes the outputs from o on, as many as a panel is wide.
func (c *correlation) panel(b *block, o, width int) {
	t := b.tile
	tiles := newPartition(b.width, c.isa.rows)
	for i, k := range c.pieces {
		c.setPiece(b, o, width, i)
		t.cRow = uintptr(b.outPixel)
		toC := i > 0 || c.call.add
		t.init, t.initRow = nil, 0
		if toC {
			t.initRow = t.cRow
		} else if c.call.bias != nil {
			t.init = unsafe.Pointer(&c.call.bias[o])
		}
		a := unsafe.Add(b.in, k.row*b.inLine+4*k.first)
		out := unsafe.Add(b.out, 4*o)
		for r := range b.rows {
			for j := range tiles.parts {
				q := tiles.from(j)
				t.a = unsafe.Add(a, r*b.inRow+q*b.inPixel)
				t.c = unsafe.Add(out, r*b.outRow+q*b.outPixel)
				if toC {
					t.init = t.c
				}
				c.isa.tileRows[width/16][tiles.from(j+1)-q](t)
			}
		}
	}
}

// lastPanel is panel where the maps have fewer outputs left than it is wide.
func (c *correlation) lastPanel(b *block, o, width int) {
	tiles := newPartition(b.width, c.isa.rows)
	for r := range b.rows {
		for j := range tiles.parts {
			q := tiles.from(j)
			c.narrowTile(b, o, width, r, q, tiles.from(j+1)-q)
		}
	}
}

// narrowTile computes n pixels from q on of row r in the scratch tile and copies
// the outputs there are.
func (c *correlation) narrowTile(b *block, o, width, r, q, n int) {
	t, present := b.tile, c.outputs-o
	out := unsafe.Add(b.out, 4*o+r*b.outRow+q*b.outPixel)
	if c.call.add {
		for i := range n {
			copy(b.scratch[i*width:], unsafe.Slice((*float32)(unsafe.Add(out, i*b.outPixel)), present))
		}
	}
	t.c, t.cRow = unsafe.Pointer(&b.scratch[0]), uintptr(4*width)
	for i, k := range c.pieces {
		c.setPiece(b, o, width, i)
		switch {
		case i > 0 || c.call.add:
			t.init, t.initRow = t.c, t.cRow
		case c.call.bias != nil:
			t.init, t.initRow = unsafe.Pointer(&c.call.bias[o]), 0
		default:
			t.init = nil
		}
		t.a = unsafe.Add(b.in, k.row*b.inLine+4*k.first+r*b.inRow+q*b.inPixel)
		c.isa.tileRows[width/16][n](t)
	}
	for i := range n {
		copy(unsafe.Slice((*float32)(unsafe.Add(out, i*b.outPixel)), present), b.scratch[i*width:])
	}
}
