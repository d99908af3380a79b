package kernels

// A correlation computes maps of rows×width pixels in the direct way:
//
//	out[r][q][o] = init + Σ in[top+r·strideH+i][left+q·strideW+j][c] · w[o][c][i][j]
//
// over (i, j, c) in that order; in is inH×inW and zero outside. Forward is one, and
// backward-data one for each phase of a stride.
type correlation struct {
	isa               *isa
	channels, outputs int
	kh, kw            int
	inH, inW          int
	top, left         int
	strideH, strideW  int
	rows, width       int
	out               lattice
	weights           weightOrder

	pieces []kernelPiece
	panels []float32 // [outputs/cols][kh][kw][channels][cols], zeros for missing outputs
	bias   []float32 // as wide as the panels
	call   correlationCall
}

// A lattice is the pixels of an h×w map that a correlation writes to: every
// strideH-th row from top on and every strideW-th pixel of it from left on.
type lattice struct{ h, w, top, left, strideH, strideW int }

// A weightOrder is where the weight of an output, channel, kernel row and column
// is: first plus each times its step.
type weightOrder struct{ first, output, channel, row, column int }

// A correlationCall is the arguments of one run.
type correlationCall struct {
	pool    *Pool
	in, out Maps
	bias    []float32
	low     float32
	add     bool
	// A task is a part of the rows of an example. Where flat, all pixels of all
	// examples are one row of one example, cut into tasks in width.
	flat  bool
	parts partition
	// padded says that a task copies the rows it reads, with the zeros around.
	padded bool
}

func (c *correlation) plan() {
	c.pieces = kernelPieces(c.kh, c.kw*c.channels)
}

// depth is the number of products in a sum.
func (c *correlation) depth() int { return c.kh * c.kw * c.channels }

func (c *correlation) floats() int {
	return padded(c.outputs, c.isa.cols)*(c.depth()+1) + c.isa.rows*c.isa.cols
}

func (c *correlation) pack(p *Pool, w []float32) {
	c.panels = grow(c.panels, padded(c.outputs, c.isa.cols)*c.depth())
	c.call.pool, c.call.bias = p, w
	p.run((c.outputs+c.isa.cols-1)/c.isa.cols, (*packJob)(c))
	c.call.pool, c.call.bias = nil, nil
}

// A packJob packs one panel a task.
type packJob correlation

func (j *packJob) do(thread, task int) {
	c, w := (*correlation)(j), j.call.bias
	o := task * c.isa.cols
	width := panelWidth(c.outputs-o, c.isa.cols)
	panel := c.panels[o*c.depth():][:width*c.depth()]
	present := min(width, c.outputs-o)
	if c.kh*c.kw == 1 && c.weights.channel == 1 {
		if present < width {
			clear(panel)
		}
		c.call.pool.transposeTo(c.isa, thread, present, c.channels, w[o*c.weights.output:], c.weights.output, panel, width)
		return
	}
	at := 0
	for row := range c.kh {
		for column := range c.kw {
			from := c.weights.first + o*c.weights.output + row*c.weights.row + column*c.weights.column
			for channel := range c.channels {
				packRow(panel[at:][:width], w[from+channel*c.weights.channel:], present, c.weights.output)
				at += width
			}
		}
	}
}

// packRow fills dst with n numbers of w, step apart, and zeros.
func packRow(dst, w []float32, n, step int) {
	clear(dst[n:])
	if step == 1 {
		copy(dst[:n], w)
		return
	}
	for x := range dst[:n] {
		dst[x] = w[x*step]
	}
}

// run computes the maps of n examples. It begins with the bias, or with what out
// holds where add, or with nothing.
func (c *correlation) run(p *Pool, n int, in, out Maps, bias []float32, low float32, add bool) {
	if n == 0 {
		return
	}
	c.call = correlationCall{pool: p, in: in, out: out, low: low, add: add}
	if bias != nil {
		c.bias = grow(c.bias, padded(c.outputs, c.isa.cols))
		clear(c.bias[copy(c.bias, bias):])
		c.call.bias = c.bias
	}
	tasks := c.divide(p, n)
	p.reserve(c.scratch())
	p.run(tasks, (*correlationJob)(c))
	c.call = correlationCall{}
}
