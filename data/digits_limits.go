package data

// How much examples differ. With these a linear classifier gets about 90 % of
// the test examples right and LeNet about 99 %: hard enough to tell a network
// from a simpler model, easy enough for the first command to show it within a
// few epochs. Changing one makes a new digitsVersion.
const (
	// Each example has a wildness, in 1/256, by which the bounds of angle,
	// slant, shift and warp are multiplied. It is drawn from this range by the
	// cube of a uniform number: most hands are steady, a few are not.
	wildLow, wildHigh = 110, 350
	// Angle and slant, either way, in 1/1000 (radians, and the slope).
	angleMax = 300
	slantMax = 300
	// Shift, either way in both directions.
	shiftUnit = 256 // to a pixel
	shiftMax  = shiftUnit * 5 / 2
	// Elastic distortion: the move of a control point, either way in both
	// directions. Neighbours move differently, so a curve bends by less.
	warpMax = 4 * cellUnit
	// Size, and width over height, in 1/1000 of the glyph's.
	scaleLow, scaleHigh   = 800, 1100
	aspectLow, aspectHigh = 750, 1150
	// Half the pen's width, and the width of its soft edge.
	penUnit           = glyphUnits * 256 // to a cell
	penLow, penHigh   = penUnit * 6 / 10, penUnit * 17 / 10
	edgeLow, edgeHigh = penUnit * 12 / 10, penUnit * 2
	// Ink, in 1/256 of white, and the highest gray of the noise.
	brightLow, brightHigh = 170, 256
	noiseLow, noiseHigh   = 0, 24
)
