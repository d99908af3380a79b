package data

import (
	_ "embed"

	"convoy/fmath"
	"convoy/rng"
)

// glyphs holds, after a byte that counts the glyphs of one digit, the distances
// to the middle of each glyph's stroke: see internal/glyphgen.
//
//go:embed glyphs.bin
var glyphs []byte

const (
	glyphSide  = 36 // cells of a glyph's row and column
	glyphUnits = 24 // a byte's 1 is 1/24 of a cell
	// Coordinates and distances in a glyph are integers of 1/4096 cell: integer
	// arithmetic has the same bits everywhere.
	cellBits = 12
	cellUnit = 1 << cellBits
	// cellsPerPixel makes a digit 20 pixels tall, as MNIST's are.
	cellsPerPixel = 1.2
)

// warpKnots is the number of control points of a warp in each direction: four
// intervals of seven pixels, and the three further points of a cubic spline.
const warpKnots = 4 + 3

// splineWeights holds, for each pixel of a row, the weights in 1/1024 of the four
// control points around its middle: those of a uniform cubic B-spline.
var splineWeights = func() (w [digitsSide][4]int32) {
	const n = 14 // half pixels in an interval
	for p := range w {
		f := int32(2*p+1) % n
		g := n - f
		for k, v := range [4]int32{g * g * g, 3*f*f*f - 6*n*f*f + 4*n*n*n, 3*g*g*g - 6*n*g*g + 4*n*n*n, f * f * f} {
			w[p][k] = (v*1024 + 3*n*n*n) / (6 * n * n * n)
		}
	}
	return w
}()

// drawDigit draws one example into pixels and returns its label. What it does is
// what Simard, Steinkraus and Platt (2003) do to MNIST: a random affine map and
// an elastic distortion, here of glyphs' distance fields, so that the width and
// the softness of the pen vary as well.
func drawDigit(s *rng.Stream, pixels []byte) (label uint8) {
	label = uint8(s.Intn(10))
	count := int(glyphs[0])
	at := 1 + (int(label)*count+s.Intn(count))*glyphSide*glyphSide
	glyph := (*[glyphSide * glyphSide]byte)(glyphs[at:])

	u := between(s, 0, 1<<8)
	wild := wildLow + (wildHigh-wildLow)*((u*u>>8)*u>>8)>>8

	m := randomAffine(s, wild)
	var warp [2][warpKnots * warpKnots]int32
	for i := range warp {
		for k := range warp[i] {
			warp[i][k] = between(s, -warpMax, warpMax) * wild >> 8
		}
	}
	pen, edge := between(s, penLow, penHigh), between(s, edgeLow, edgeHigh)
	ink := nib{pen, (255 << 14) / edge, between(s, brightLow, brightHigh)}

	for y := range digitsSide {
		wy := &splineWeights[y]
		var bend [2][warpKnots]int32 // the warp of this row at the columns of knots
		for i := range bend {
			for c := range bend[i] {
				v := warp[i][y/7*warpKnots+c:]
				bend[i][c] = (wy[0]*v[0] + wy[1]*v[warpKnots] + wy[2]*v[2*warpKnots] + wy[3]*v[3*warpKnots]) >> 10
			}
		}
		row := pixels[y*digitsSide : (y+1)*digitsSide]
		dy := int32(2*y - (digitsSide - 1)) // half pixels from the middle
		for x := range row {
			wx := &splineWeights[x]
			dx := int32(2*x - (digitsSide - 1))
			bx, by := (*[4]int32)(bend[0][x/7:]), (*[4]int32)(bend[1][x/7:])
			u := m.x + m.xx*dx + m.xy*dy + (wx[0]*bx[0]+wx[1]*bx[1]+wx[2]*bx[2]+wx[3]*bx[3])>>10
			v := m.y + m.yx*dx + m.yy*dy + (wx[0]*by[0]+wx[1]*by[1]+wx[2]*by[2]+wx[3]*by[3])>>10
			row[x] = ink.at(glyph, u, v)
		}
	}
	addNoise(s, pixels)
	return label
}

// affine maps half pixels from the middle of the image to a glyph's coordinates.
type affine struct{ x, xx, xy, y, yx, yy int32 }

// randomAffine is a rotation, a slant, a scale in each direction and a shift.
func randomAffine(s *rng.Stream, wild int32) affine {
	angle := float64(between(s, -angleMax, angleMax)*wild) / (1000 * 256) // radians
	slant := float64(between(s, -slantMax, slantMax)*wild) / (1000 * 256)
	scale := float64(between(s, scaleLow, scaleHigh)) / 1000
	aspect := float64(between(s, aspectLow, aspectHigh)) / 1000
	sin, cos := fmath.Sin(angle), fmath.Cos(angle)
	// Cells per half pixel, across and down.
	cx, cy := float64(cellUnit*cellsPerPixel/2)/float64(scale*aspect), float64(cellUnit*cellsPerPixel/2)/scale
	m := affine{
		xx: int32(cx * float64(cos+float64(slant*sin))), xy: int32(cx * float64(float64(slant*cos)-sin)),
		yx: int32(cy * sin), yy: int32(cy * cos),
	}
	shiftX, shiftY := between(s, -shiftMax, shiftMax)*wild>>8, between(s, -shiftMax, shiftMax)*wild>>8
	const middle = glyphSide * cellUnit / 2
	m.x = middle - (m.xx*shiftX+m.xy*shiftY)*2/shiftUnit
	m.y = middle - (m.yx*shiftX+m.yy*shiftY)*2/shiftUnit
	return m
}

// nib turns a distance to the middle of a stroke into the gray of a pixel. Half
// its width is pen; where the distance passes that, gray falls by gain, in
// 1/2¹⁴, for each unit of distance.
type nib struct{ pen, gain, bright int32 }

// at returns the gray of the glyph's point (u, v), by bilinear interpolation of
// its distances.
func (p *nib) at(glyph *[glyphSide * glyphSide]byte, u, v int32) byte {
	u -= cellUnit / 2 // distances are those of the cells' middles
	v -= cellUnit / 2
	cu, cv := u>>cellBits, v>>cellBits
	if uint32(cu) >= glyphSide-1 || uint32(cv) >= glyphSide-1 {
		return 0
	}
	fu, fv := (u>>4)&255, (v>>4)&255
	g := glyph[cv*glyphSide+cu:][: glyphSide+2 : glyphSide+2]
	top := int32(g[0])*(256-fu) + int32(g[1])*fu
	low := int32(g[glyphSide])*(256-fu) + int32(g[glyphSide+1])*fu
	d := (top*(256-fv) + low*fv) >> 8 // in 1/256 of a byte's unit
	gray := 128<<14 + (p.pen-d)*p.gain
	gray = min(max(gray>>14, 0), 255)
	return byte(gray * p.bright >> 8)
}

// addNoise adds gray of up to a level that differs from image to image.
func addNoise(s *rng.Stream, pixels []byte) {
	level := uint32(between(s, noiseLow, noiseHigh))
	for i := 0; i < len(pixels); i += 4 {
		for k, r := 0, s.Uint32(); k < 4; k, r = k+1, r>>8 {
			pixels[i+k] = byte(min(uint32(pixels[i+k])+(r&255)*level>>8, 255))
		}
	}
}

// between returns one of low … high, each about as likely.
func between(s *rng.Stream, low, high int32) int32 {
	return low + int32(uint64(s.Uint32())*uint64(high-low+1)>>32)
}
