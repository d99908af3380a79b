package picture

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Series is a named list of points with how far each spreads: Low and High have
// one value a point, or none.
type Series struct {
	Name      string
	Points    []Point
	Low, High []float64
}

// Rates draws images/s by number of workers, each series with its spread, beside
// their efficiency, 0 to 1, and encodes the picture in one of Formats. The thin
// line is what perfect scaling of the first series would give.
func Rates(rates, efficiency []Series, format string) ([]byte, error) {
	left, right := panel("images/s", "workers"), panel("efficiency, %", "workers")
	left.X.Tick.Marker, right.X.Tick.Marker = ticks{whole: true}, ticks{whole: true}
	left.Legend.Left = true
	right.Legend.Top = false
	right.Legend.Left = true
	if len(rates) > 0 && len(rates[0].Points) > 1 {
		p := rates[0].Points
		a, b := p[0], p[len(p)-1]
		ideal, err := plotter.NewLine(xys([]Point{a, {b.X, a.Y / a.X * b.X}}))
		if err != nil {
			return nil, err
		}
		ideal.Color, ideal.Width = hair, vg.Points(1.2)
		left.Add(ideal)
	}
	for i, s := range rates {
		c := colours[i%len(colours)]
		line, points, err := plotter.NewLinePoints(xys(s.Points))
		if err != nil {
			return nil, fmt.Errorf("series %s: %w", s.Name, err)
		}
		style(line, points, c)
		if len(s.Low) == len(s.Points) && len(s.High) == len(s.Points) {
			bars, err := plotter.NewYErrorBars(spreads{xys(s.Points), s})
			if err != nil {
				return nil, fmt.Errorf("series %s: %w", s.Name, err)
			}
			bars.Color = c
			left.Add(bars)
		}
		left.Add(line, points)
		left.Legend.Add(s.Name, line, points)
	}
	for i, s := range efficiency {
		percent := xys(s.Points)
		for k := range percent {
			percent[k].Y *= 100
		}
		line, points, err := plotter.NewLinePoints(percent)
		if err != nil {
			return nil, fmt.Errorf("series %s: %w", s.Name, err)
		}
		style(line, points, colours[i%len(colours)])
		right.Add(line, points)
		right.Legend.Add(s.Name, line, points)
	}
	left.Y.Min, right.Y.Min = 0, 0
	return pair(left, right, format)
}

func style(line *plotter.Line, points *plotter.Scatter, c color.RGBA) {
	line.Color, line.Width = c, vg.Points(1.6)
	points.Color, points.Shape, points.Radius = c, draw.CircleGlyph{}, vg.Points(3)
}

// spreads are a series' points with the distances to its least and greatest.
type spreads struct {
	plotter.XYs
	s Series
}

func (p spreads) YError(i int) (low, high float64) {
	return p.s.Low[i] - p.XYs[i].Y, p.s.High[i] - p.XYs[i].Y
}
