package data

// How much examples differ. With these a linear classifier gets about 87 % of
// the test examples right and LeNet about 99 %: hard enough to tell a network
// from a simpler model, easy enough for the first command to show it within a
// few epochs. Changing one makes a new digitsVersion.
const (
	// Angle and slant, either way, in 1/1000 (radians, and the slope).
	angleMax = 300
	slantMax = 300
	// Size, and width over height, in 1/1000 of the glyph's.
	scaleLow, scaleHigh   = 800, 1100
	aspectLow, aspectHigh = 750, 1150
	// Shift, either way in both directions.
	shiftUnit = 256 // to a pixel
	shiftMax  = shiftUnit * 11 / 5
	// Elastic distortion: the largest move of a control point is drawn from
	// this range. The moves of neighbours differ, so a curve bends by less.
	warpLow, warpHigh = cellUnit, cellUnit * 17 / 5
	// Half the pen's width, and the width of its soft edge.
	penUnit           = glyphUnits * 256 // to a cell
	penLow, penHigh   = penUnit * 6 / 10, penUnit * 16 / 10
	edgeLow, edgeHigh = penUnit * 12 / 10, penUnit * 2
	// Ink, in 1/256 of white, and the highest gray of the noise.
	brightLow, brightHigh = 110, 230
	noiseLow, noiseHigh   = 0, 16
)
