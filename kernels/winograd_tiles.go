package kernels

import "unsafe"

// winogradPoints is the number of products of a tile.
const winogradPoints = 36

// round16 is n rounded up to whole groups of a transform.
func round16(n int) int { return (n + 15) &^ 15 }

// planes are the 36 matrices [tile][channel] of transformed tiles, in blocks of
// channels: [block][36][tile][channel]. Channels are padded to whole groups.
type planes struct {
	v        []float32
	tiles    int
	channels int // whole groups
	width    int // channels of a block, whole groups; the last may have fewer
	pad      int // floats between tiles
}

// newPlanes lays planes into v, of which it returns the rest.
func newPlanes(v []float32, tiles, channels, width, pad int) (planes, []float32) {
	m := planes{tiles: tiles, channels: round16(channels), width: width, pad: pad}
	n := m.floats()
	m.v = v[:n]
	return m, v[n:]
}

func (m *planes) floats() (n int) {
	for c := 0; c < m.channels; c += m.width {
		n += winogradPoints * m.planeSize(m.blockWidth(c))
	}
	return n
}

// planesFloats is the floats of planes of one block.
func planesFloats(tiles, channels, width, pad int) int {
	m := planes{tiles: tiles, channels: round16(channels), width: width, pad: pad}
	return m.floats()
}

// blockWidth is the width of the block that begins at channel c.
func (m *planes) blockWidth(c int) int { return min(m.width, m.channels-c) }

// planeSize keeps the planes from falling into the same sets of a cache.
func (m *planes) planeSize(width int) int { return m.tiles*(width+m.pad) + 16 }

// block is the block that begins at channel c.
func (m *planes) block(c int) planeBlock {
	width := m.blockWidth(c)
	return planeBlock{
		v:     m.v[c/m.width*winogradPoints*m.planeSize(m.width):],
		pitch: width + m.pad, size: m.planeSize(width),
	}
}

// A planeBlock is a block of planes, [36][tile][channel].
type planeBlock struct {
	v     []float32
	pitch int // floats from a tile to the next
	size  int // floats from a plane to the next
}

func (b *planeBlock) at(point, tile, channel int) unsafe.Pointer {
	return unsafe.Pointer(&b.v[point*b.size+tile*b.pitch+channel])
}

// Tiles that reach over an edge, or whose channels are no whole groups, go through
// a patch of some channels in scratch memory.
const (
	patchChannels = 64
	patchSize     = winogradPoints * patchChannels
)

// tileScratch is what transforming tiles needs, in floats.
const tileScratch = transformTemp + patchSize

// grid is how the output of a convolution is cut into tiles.
type grid struct {
	rows, columns int // tiles of an image
	step          int // pixels from a tile to the next
}

func newGrid(h, w, step int) grid { return grid{(h + step - 1) / step, (w + step - 1) / step, step} }

func (g grid) tiles() int { return g.rows * g.columns }

// place is the example of a tile and its first row and column of pixels.
func (g grid) place(tile int) (example, y, x int) {
	return tile / g.tiles(), tile / g.columns % g.rows * g.step, tile % g.columns * g.step
}

// patches are the squares of size×size pixels that a transform makes tiles of:
// those of tile (0, 0) begin padH rows above and padW columns left of the image.
type patches struct {
	maps       Maps
	c, h, w    int
	padH, padW int
	grid       grid
	size, form int
}

// transform writes the tiles from first to end to rows row… of planes.
func (q *patches) transform(isa *isa, l *local, scratch []float32, first, end int, to *planes, row int) {
	f, t := isa.transforms[q.form], &l.transform
	*t = transform{temp: unsafe.Pointer(&scratch[0]), constants: &winogradTable}
	patch := scratch[transformTemp:][:patchSize]
	for c := 0; c < to.channels; c += to.width {
		b, width := to.block(c), to.blockWidth(c)
		t.dstRow, t.dstColumn = uintptr(4*6*b.size), uintptr(4*b.size)
		for tile := first; tile < end; tile++ {
			example, y, x := q.grid.place(tile)
			y, x = y-q.padH, x-q.padW
			if y >= 0 && x >= 0 && y+q.size <= q.h && x+q.size <= q.w && c+width <= q.c {
				t.src, t.srcRow, t.srcColumn = q.maps.at((example*q.h+y)*q.w+x, c), uintptr(4*q.w*q.maps.Pitch), uintptr(4*q.maps.Pitch)
				t.dst, t.groups = b.at(0, row+tile-first, 0), uintptr(width/16)
				f(t)
				continue
			}
			t.src, t.srcRow, t.srcColumn = unsafe.Pointer(&patch[0]), uintptr(4*q.size*patchChannels), 4*patchChannels
			for i := 0; i < width; i += patchChannels {
				n := min(patchChannels, width-i)
				q.cut(patch, example, y, x, c+i, n)
				t.dst, t.groups = b.at(0, row+tile-first, i), uintptr(n/16)
				f(t)
			}
		}
	}
	*t = transform{}
}

// cut copies n channels from c on of a square of pixels into a patch, with zeros
// where there are none.
func (q *patches) cut(patch []float32, example, y, x, c, n int) {
	present := min(n, q.c-c)
	for i := range q.size {
		for j := range q.size {
			dst := patch[(i*q.size+j)*patchChannels:][:n]
			if y+i < 0 || y+i >= q.h || x+j < 0 || x+j >= q.w {
				clear(dst)
				continue
			}
			copy(dst, q.maps.V[((example*q.h+y+i)*q.w+x+j)*q.maps.Pitch+c:][:present])
			clear(dst[present:])
		}
	}
}
