package kernels

import "unsafe"

// winogradPoints is the number of products of a tile.
const winogradPoints = 36

// round16 is n rounded up to whole groups of a transform.
func round16(n int) int { return (n + 15) &^ 15 }

// planes are the 36 matrices [tile][channel] of transformed tiles. Channels are
// padded to whole groups.
type planes struct {
	v     []float32
	pitch int // floats from a tile to the next
	size  int // floats from a plane to the next
}

// planesPitch and planesSize keep the pixels and planes that are used together
// from falling into the same sets of a cache.
func planesPitch(channels int) int { return round16(channels) + 16 }

func planesSize(tiles, channels int) int { return tiles*planesPitch(channels) + 16 }

func planesFloats(tiles, channels int) int { return winogradPoints * planesSize(tiles, channels) }

// newPlanes lays planes into v, of which it returns the rest.
func newPlanes(v []float32, tiles, channels int) (planes, []float32) {
	n := planesFloats(tiles, channels)
	return planes{v[:n], planesPitch(channels), planesSize(tiles, channels)}, v[n:]
}

func (m *planes) at(point, tile, channel int) unsafe.Pointer {
	return unsafe.Pointer(&m.v[point*m.size+tile*m.pitch+channel])
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
	*t = transform{
		temp: unsafe.Pointer(&scratch[0]), constants: &winogradTable,
		dstRow: uintptr(4 * 6 * to.size), dstColumn: uintptr(4 * to.size),
	}
	patch := scratch[transformTemp:][:patchSize]
	for tile := first; tile < end; tile++ {
		example, y, x := q.grid.place(tile)
		y, x = y-q.padH, x-q.padW
		whole := y >= 0 && x >= 0 && y+q.size <= q.h && x+q.size <= q.w
		if whole && q.c%16 == 0 {
			t.src, t.srcRow, t.srcColumn = q.maps.at((example*q.h+y)*q.w+x, 0), uintptr(4*q.w*q.maps.Pitch), uintptr(4*q.maps.Pitch)
			t.dst, t.groups = to.at(0, row+tile-first, 0), uintptr(q.c/16)
			f(t)
			continue
		}
		t.src, t.srcRow, t.srcColumn = unsafe.Pointer(&patch[0]), uintptr(4*q.size*patchChannels), 4*patchChannels
		for c := 0; c < q.c; c += patchChannels {
			n := min(patchChannels, q.c-c)
			q.cut(patch, example, y, x, c, n)
			t.dst, t.groups = to.at(0, row+tile-first, c), uintptr(round16(n)/16)
			f(t)
		}
	}
	*t = transform{}
}

// cut copies n channels from c on of a square of pixels into a patch, with zeros
// where there are none.
func (q *patches) cut(patch []float32, example, y, x, c, n int) {
	padded := round16(n)
	for i := range q.size {
		for j := range q.size {
			dst := patch[(i*q.size+j)*patchChannels:][:padded]
			if y+i < 0 || y+i >= q.h || x+j < 0 || x+j >= q.w {
				clear(dst)
				continue
			}
			copy(dst, q.maps.V[((example*q.h+y+i)*q.w+x+j)*q.maps.Pitch+c:][:n])
			clear(dst[n:])
		}
	}
}
