package main

import (
	"math"
	"math/rand/v2"
)

type point struct{ x, y float64 }

// hand holds ways to write each digit: strokes through points of a box whose
// height is 100, y pointing down. A stroke is smooth; a point given twice is a
// corner.
var hand = [10][][][]point{
	0: {
		{{{52, 1}, {28, 10}, {15, 50}, {28, 90}, {50, 99}, {72, 88}, {84, 50}, {72, 10}, {52, 1}, {46, 2}}},
		{{{66, 4}, {42, 8}, {20, 40}, {16, 80}, {34, 98}, {60, 86}, {80, 52}, {80, 16}, {62, 3}, {44, 12}}},
		{{{38, 6}, {22, 30}, {22, 70}, {38, 96}, {58, 96}, {72, 70}, {72, 28}, {58, 4}, {36, 5}, {26, 18}}},
	},
	1: {
		{{{52, 1}, {50, 50}, {49, 99}}},
		{{{30, 24}, {44, 14}, {56, 1}, {56, 1}, {55, 50}, {54, 99}}},
		{{{28, 26}, {42, 14}, {54, 1}, {54, 1}, {53, 50}, {52, 98}}, {{28, 98}, {52, 98}, {78, 97}}},
	},
	2: {
		{{{20, 24}, {30, 7}, {52, 1}, {72, 12}, {74, 32}, {58, 58}, {36, 80}, {16, 98}, {16, 98}, {48, 97}, {84, 96}}},
		{{{22, 18}, {44, 1}, {70, 12}, {70, 40}, {46, 76}, {24, 95}, {16, 84}, {28, 74}, {46, 86}, {64, 98}, {86, 88}}},
		{{{16, 14}, {38, 4}, {66, 6}, {72, 24}, {52, 54}, {22, 90}, {18, 97}, {18, 97}, {50, 93}, {82, 98}}},
	},
	3: {
		{{{20, 12}, {44, 1}, {68, 10}, {70, 30}, {56, 44}, {40, 47}, {40, 47}, {64, 53}, {76, 72}, {64, 92}, {40, 99}, {16, 88}}},
		{{{18, 4}, {46, 3}, {76, 2}, {76, 2}, {60, 20}, {42, 40}, {42, 40}, {66, 46}, {76, 66}, {66, 90}, {40, 99}, {16, 90}}},
		{{{24, 8}, {50, 1}, {68, 18}, {54, 42}, {34, 50}, {40, 42}, {62, 54}, {72, 76}, {54, 97}, {22, 94}}},
	},
	4: {
		{{{32, 2}, {26, 30}, {18, 58}, {18, 58}, {50, 57}, {84, 56}}, {{66, 4}, {63, 50}, {60, 99}}},
		{{{64, 99}, {65, 50}, {66, 1}, {66, 1}, {40, 34}, {14, 68}, {14, 68}, {50, 68}, {86, 68}}},
		{{{22, 4}, {18, 34}, {30, 54}, {56, 48}, {72, 30}, {74, 4}, {74, 4}, {70, 50}, {66, 99}}},
	},
	5: {
		{{{30, 4}, {26, 24}, {24, 44}, {24, 44}, {48, 38}, {72, 50}, {76, 74}, {58, 96}, {34, 98}, {16, 88}}, {{30, 4}, {54, 3}, {78, 2}}},
		{{{76, 4}, {54, 3}, {32, 6}, {32, 6}, {28, 26}, {26, 40}, {46, 44}, {68, 58}, {70, 82}, {50, 98}, {18, 94}}},
		{{{80, 2}, {50, 6}, {34, 20}, {32, 36}, {54, 46}, {70, 62}, {66, 86}, {44, 98}, {18, 90}}},
	},
	6: {
		{{{66, 4}, {42, 18}, {24, 48}, {20, 76}, {36, 97}, {60, 96}, {74, 76}, {64, 56}, {42, 54}, {24, 70}}},
		{{{48, 1}, {32, 30}, {22, 66}, {30, 92}, {52, 99}, {70, 84}, {66, 64}, {46, 60}, {26, 72}}},
		{{{72, 12}, {56, 2}, {34, 16}, {20, 52}, {24, 86}, {46, 99}, {70, 86}, {70, 62}, {50, 50}, {28, 62}, {22, 74}}},
	},
	7: {
		{{{16, 4}, {48, 5}, {80, 3}, {80, 3}, {62, 44}, {44, 99}}},
		{{{16, 6}, {46, 5}, {78, 4}, {78, 4}, {60, 46}, {44, 99}}, {{34, 52}, {54, 50}, {76, 48}}},
		{{{16, 22}, {18, 4}, {18, 4}, {44, 10}, {82, 2}, {82, 2}, {64, 28}, {50, 62}, {48, 99}}},
	},
	8: {
		{{{68, 14}, {50, 1}, {28, 12}, {30, 32}, {52, 48}, {74, 70}, {66, 94}, {42, 99}, {22, 84}, {34, 60}, {58, 42}, {70, 20}, {66, 12}}},
		{{{50, 1}, {28, 12}, {30, 36}, {50, 46}, {70, 36}, {72, 12}, {50, 1}}, {{50, 46}, {24, 60}, {22, 86}, {50, 99}, {78, 86}, {76, 60}, {50, 46}}},
		{{{78, 8}, {52, 2}, {30, 16}, {40, 40}, {60, 60}, {64, 86}, {44, 99}, {26, 86}, {38, 60}, {60, 38}, {78, 8}}},
	},
	9: {
		{{{72, 18}, {54, 2}, {30, 10}, {24, 34}, {40, 50}, {62, 42}, {73, 18}, {73, 18}, {70, 56}, {66, 99}}},
		{{{70, 22}, {52, 2}, {28, 14}, {26, 40}, {48, 50}, {68, 36}, {72, 18}, {76, 50}, {68, 86}, {46, 99}, {22, 90}}},
		{{{76, 10}, {50, 2}, {26, 18}, {30, 42}, {54, 42}, {74, 16}, {74, 16}, {66, 56}, {46, 99}}},
	},
}

// copies is how many unsteady copies of each way to write a digit there are.
const copies = 4

// strokeGlyphs returns the hand-written glyphs of a digit.
func strokeGlyphs(digit int) []*field {
	var fields []*field
	random := rand.New(rand.NewPCG(1998, uint64(digit)))
	for _, way := range hand[digit] {
		for range copies {
			fields = append(fields, drawStrokes(unsteady(way, random)))
		}
	}
	return fields
}

// unsteady moves the points of a glyph: all of them by a slow wave and each a
// little for itself. Points that coincide move together, so that corners and
// joints stay.
func unsteady(way [][]point, random *rand.Rand) [][]point {
	ax, ay := random.NormFloat64(), random.NormFloat64()
	fx, fy := 2*math.Pi*random.Float64(), 2*math.Pi*random.Float64()
	moved := map[point]point{}
	var copy [][]point
	for _, stroke := range way {
		var points []point
		for _, p := range stroke {
			if _, ok := moved[p]; !ok {
				moved[p] = point{
					p.x + 4*ax*math.Sin(p.y/28+fx) + 2.2*random.NormFloat64(),
					p.y + 3*ay*math.Sin(p.x/28+fy) + 2.2*random.NormFloat64(),
				}
			}
			points = append(points, moved[p])
		}
		copy = append(copy, points)
	}
	return copy
}

// drawStrokes returns the distances to a glyph's strokes.
func drawStrokes(strokes [][]point) *field {
	var f field
	for i := range f {
		f[i] = math.Inf(1)
	}
	for _, stroke := range strokes {
		line := smooth(stroke)
		for i := range f {
			p := point{float64(i%side) + .5, float64(i/side) + .5}
			for k := 1; k < len(line); k++ {
				f[i] = min(f[i], distance(p, line[k-1], line[k]))
			}
		}
	}
	return &f
}

// smooth returns the uniform Catmull-Rom curve through points
// (Catmull and Rom, 1974) as a line of short pieces, in cells.
func smooth(points []point) []point {
	const pieces = 12
	at := func(i int) point { return points[min(max(i, 0), len(points)-1)] }
	var line []point
	for i := range len(points) - 1 {
		a, b, c, d := at(i-1), at(i), at(i+1), at(i+2)
		for k := range pieces + 1 {
			t := float64(k) / pieces
			line = append(line, cell(point{
				spline(a.x, b.x, c.x, d.x, t),
				spline(a.y, b.y, c.y, d.y, t),
			}))
		}
	}
	return line
}

func spline(a, b, c, d, t float64) float64 {
	return .5 * (2*b + t*(c-a+t*(2*a-5*b+4*c-d+t*(3*b-a-3*c+d))))
}

// cell turns a point of the 100×100 box into cells.
func cell(p point) point {
	return point{(p.x-50)*tall/100 + side/2, (p.y-50)*tall/100 + side/2}
}

// distance is from p to the line from a to b.
func distance(p, a, b point) float64 {
	dx, dy := b.x-a.x, b.y-a.y
	t := 0.0
	if n := dx*dx + dy*dy; n > 0 {
		t = min(max(((p.x-a.x)*dx+(p.y-a.y)*dy)/n, 0), 1)
	}
	return math.Hypot(p.x-a.x-t*dx, p.y-a.y-t*dy)
}
