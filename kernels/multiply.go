package kernels

// An operand is a matrix of rows×k, packed so that the inner loop reads it in
// order: panels of three rows, then as many of two as make up the rest.
type operand struct {
	rows, k    int
	n3, n2     int // panels of three and of two rows
	three      [][3]float32
	two        [][2]float32
	src        []float32 // what pack packs
	rowStride  int
	packOffset []int32
}

// reshape makes room for rows×k; what was packed is lost.
func (a *operand) reshape(rows, k int) {
	a.layout(rows, k)
	a.three = grow(a.three, a.n3*k)
	a.two = grow(a.two, a.n2*k)
}

// layout decides on the panels.
func (a *operand) layout(rows, k int) {
	a.rows, a.k = rows, k
	a.n3, a.n2 = rows/3, 0
	switch rows % 3 {
	case 1:
		if rows == 1 {
			a.n2 = 1 // its second row is zero
		} else {
			a.n3, a.n2 = rows/3-1, 2
		}
	case 2:
		a.n2 = 1
	}
}

func (a *operand) panels() int { return a.n3 + a.n2 }

// first is the first row of panel p; that of p = panels() is rows.
func (a *operand) first(p int) int {
	return min(3*p-max(0, p-a.n3), a.rows)
}

// pack packs panel p of rows src[row·rowStride + packOffset[k]].
func (a *operand) pack(p int) {
	row := a.first(p) * a.rowStride
	if p < a.n3 {
		s0, s1, s2 := a.src[row:], a.src[row+a.rowStride:], a.src[row+2*a.rowStride:]
		dst := a.three[p*a.k:][:a.k]
		for k, o := range a.packOffset[:a.k] {
			dst[k] = [3]float32{s0[o], s1[o], s2[o]}
		}
		return
	}
	dst := a.two[(p-a.n3)*a.k:][:a.k]
	s0 := a.src[row:]
	if a.rows == 1 {
		for k, o := range a.packOffset[:a.k] {
			dst[k] = [2]float32{s0[o], 0}
		}
		return
	}
	s1 := a.src[row+a.rowStride:]
	for k, o := range a.packOffset[:a.k] {
		dst[k] = [2]float32{s0[o], s1[o]}
	}
}

// do packs the panel of a task; it makes an operand a job.
func (a *operand) do(_, task int) { a.pack(task) }

// packLater is how many elements are packed before others are called to help.
const packLater = 1 << 15

// packAll packs every panel.
func (a *operand) packAll(p *Pool) {
	if a.rows*a.k > packLater {
		p.run(a.panels(), a)
		return
	}
	for i := range a.panels() {
		a.pack(i)
	}
}

// A run is one piece of a sum: the operand's k from at on meet the elements
// shift+off[0], shift+off[1], … after a column's base.
type run struct {
	at, shift int
	off       []int32
}

// pieces cuts a sum over off into runs.
func pieces(off []int32) []run {
	var runs []run
	for at := 0; at < len(off); at += piece {
		runs = append(runs, run{at: at, off: off[at:min(at+piece, len(off))]})
	}
	return runs
}

// columns are what an operand is multiplied with, and where the product goes:
// column j begins at x[base[j]], and the product's row r of column j is
// dst[out[j]+r·stride].
type columns struct {
	x    []float32
	base []int32
	runs []run

	dst    []float32
	out    []int32
	stride int
	bias   []float32 // the sums of row r begin with bias[r], with 0 if it is nil
	add    bool      // the sums are added to dst
}

// columnBlock is how many columns meet all panels before the next ones do, so
// that they stay in the cache.
const columnBlock = 96

// multiply computes the rows of panels low … high−1 for all columns.
func (a *operand) multiply(low, high int, c *columns) {
	for j := 0; j < len(c.base); j += columnBlock {
		end := min(j+columnBlock, len(c.base))
		for p := low; p < high; p++ {
			if p < a.n3 {
				c.strip3(a.three[p*a.k:][:a.k], a.first(p), j, end)
			} else {
				c.strip2(a.two[(p-a.n3)*a.k:][:a.k], a.first(p), a.rows, j, end)
			}
		}
	}
}

// strip3 does the three rows from row on for columns j … end−1.
func (c *columns) strip3(panel [][3]float32, row, j, end int) {
	var b0, b1, b2 float32
	if c.bias != nil {
		b0, b1, b2 = c.bias[row], c.bias[row+1], c.bias[row+2]
	}
	base, out := c.base, c.out
	d0, d1, d2 := c.dst[row*c.stride:], c.dst[(row+1)*c.stride:], c.dst[(row+2)*c.stride:]
	for ; j < end; j += 3 {
		n := min(3, end-j)
		last := n - 1
		x0, x1, x2 := int(base[j]), int(base[j+min(1, last)]), int(base[j+last])
		sum := [9]float32{b0, b1, b2, b0, b1, b2, b0, b1, b2}
		for i := range c.runs {
			r := &c.runs[i]
			x := c.x[r.shift:]
			tile3x3(panel[r.at:r.at+len(r.off)], r.off, x[x0:], x[x1:], x[x2:], &sum)
		}
		if c.add {
			for i, o := range out[j : j+n] {
				d0[o] += sum[3*i]
				d1[o] += sum[3*i+1]
				d2[o] += sum[3*i+2]
			}
			continue
		}
		for i, o := range out[j : j+n] {
			d0[o] = sum[3*i]
			d1[o] = sum[3*i+1]
			d2[o] = sum[3*i+2]
		}
	}
}

// strip2 does the two rows from row on, or the one if there are no more rows, for
// columns j … end−1.
func (c *columns) strip2(panel [][2]float32, row, rows, j, end int) {
	pair := row+1 < rows
	var b0, b1 float32
	if c.bias != nil {
		b0 = c.bias[row]
		if pair {
			b1 = c.bias[row+1]
		}
	}
	base, out, stride := c.base, c.out, c.stride
	for ; j < end; j += 4 {
		n := min(4, end-j)
		last := n - 1
		x0, x1 := int(base[j]), int(base[j+min(1, last)])
		x2, x3 := int(base[j+min(2, last)]), int(base[j+last])
		sum := [8]float32{b0, b1, b0, b1, b0, b1, b0, b1}
		for i := range c.runs {
			r := &c.runs[i]
			x := c.x[r.shift:]
			tile2x4(panel[r.at:r.at+len(r.off)], r.off, x[x0:], x[x1:], x[x2:], x[x3:], &sum)
		}
		for i := range n {
			at := int(out[j+i]) + row*stride
			if c.add {
				c.dst[at] += sum[2*i]
				if pair {
					c.dst[at+stride] += sum[2*i+1]
				}
			} else {
				c.dst[at] = sum[2*i]
				if pair {
					c.dst[at+stride] = sum[2*i+1]
				}
			}
		}
	}
}
