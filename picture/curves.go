package picture

import (
	"bytes"
	"fmt"
	"image/color"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Point is one value of a curve.
type Point struct{ X, Y float64 }

// Run is the curves of one training run.
type Run struct {
	Name     string
	Loss     []Point // of training, by training step
	Accuracy []Point // of the test examples, 0 to 1, by epoch
}

// The picture of some runs' curves.
const (
	curvesWidth  = 11 * vg.Inch
	curvesHeight = 4.5 * vg.Inch
	curvesDPI    = 100
)

// colours of curves, dark enough on paper and apart for most eyes (Okabe and
// Ito, "Color universal design", 2008).
var colours = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {230, 159, 0, 255}, {86, 180, 233, 255}, {60, 60, 60, 255},
}

// Formats are the endings of files that Curves can write.
var Formats = []string{"png", "svg"}

// Curves draws the runs' training losses beside their accuracies and encodes the
// picture in one of Formats. A loss is drawn pale, and its mean over a window of
// steps in full colour.
func Curves(runs []Run, format string) ([]byte, error) {
	loss, accuracy := panel("training loss", "training step"), panel("test accuracy, %", "epoch")
	accuracy.X.Tick.Marker = ticks{whole: true}
	loss.X.Tick.Marker = ticks{whole: true}
	for i, r := range runs {
		c := colours[i%len(colours)]
		if err := addLoss(loss, r, c); err != nil {
			return nil, fmt.Errorf("run %s: %w", r.Name, err)
		}
		if err := addAccuracy(accuracy, r, c); err != nil {
			return nil, fmt.Errorf("run %s: %w", r.Name, err)
		}
	}
	accuracy.Legend.Left, accuracy.Legend.Top = false, false
	loss.Y.Min = 0
	return pair(loss, accuracy, format)
}

// pair draws two panels beside each other.
func pair(left, right *plot.Plot, format string) ([]byte, error) {
	canvas, encode, err := canvasOf(format)
	if err != nil {
		return nil, err
	}
	page := draw.New(canvas)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	page = draw.Crop(page, vg.Points(12), -vg.Points(16), vg.Points(12), -vg.Points(12))
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: vg.Points(28)}
	panels := plot.Align([][]*plot.Plot{{left, right}}, tiles, page)
	left.Draw(panels[0][0])
	right.Draw(panels[0][1])
	return encode()
}

// canvasOf returns the sheet for a format, and what makes bytes of it.
func canvasOf(format string) (vg.CanvasSizer, func() ([]byte, error), error) {
	var b bytes.Buffer
	switch format {
	case "svg":
		c := vgsvg.New(curvesWidth, curvesHeight)
		return c, func() ([]byte, error) { _, err := c.WriteTo(&b); return b.Bytes(), err }, nil
	case "png":
		c := vgimg.NewWith(vgimg.UseWH(curvesWidth, curvesHeight), vgimg.UseDPI(curvesDPI))
		return c, func() ([]byte, error) { return PNG(c.Image()) }, nil
	}
	return nil, nil, fmt.Errorf("no picture is written as %q: want %s", format, strings.Join(Formats, " or "))
}

// panel is an empty plot.
func panel(title, x string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text = title, x
	p.Title.Padding = vg.Points(10)
	p.Title.TextStyle.Font.Size = vg.Points(13)
	p.X.Padding, p.Y.Padding = vg.Points(4), vg.Points(4)
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{}, ticks{}
	for _, text := range []*draw.TextStyle{
		&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		text.Font.Variant, text.Color = "Sans", ink
	}
	p.Legend.Top = true
	p.Legend.Padding = vg.Points(3)
	p.Legend.ThumbnailWidth = vg.Points(18)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = hair, hair
	p.Add(grid)
	return p
}

// smoothed is how many windows a loss is divided into for its mean.
const smoothed = 60

func addLoss(p *plot.Plot, r Run, c color.RGBA) error {
	if len(r.Loss) == 0 {
		return nil
	}
	raw, err := plotter.NewLine(xys(r.Loss))
	if err != nil {
		return err
	}
	pale := c
	mix := func(v uint8) uint8 { return uint8((int(v) + 3*255) / 4) }
	pale.R, pale.G, pale.B = mix(c.R), mix(c.G), mix(c.B)
	raw.Color, raw.Width = pale, vg.Points(0.8)
	mean, err := plotter.NewLine(xys(Smooth(r.Loss, max(1, len(r.Loss)/smoothed))))
	if err != nil {
		return err
	}
	mean.Color, mean.Width = c, vg.Points(1.6)
	p.Add(raw, mean)
	p.Legend.Add(r.Name, mean)
	return nil
}

func addAccuracy(p *plot.Plot, r Run, c color.RGBA) error {
	if len(r.Accuracy) == 0 {
		return nil
	}
	percent := slices.Clone(r.Accuracy)
	for i := range percent {
		percent[i].Y *= 100
	}
	line, points, err := plotter.NewLinePoints(xys(percent))
	if err != nil {
		return err
	}
	style(line, points, c)
	p.Add(line, points)
	p.Legend.Add(r.Name, line, points)
	return nil
}

func xys(points []Point) plotter.XYs {
	list := make(plotter.XYs, len(points))
	for i, p := range points {
		list[i] = plotter.XY{X: p.X, Y: p.Y}
	}
	return list
}

// Smooth replaces each value by the mean of those at most half a window of so
// many points away; nearer to an end, of as many as there are on both sides.
func Smooth(points []Point, window int) []Point {
	sums := make([]float64, len(points)+1)
	for i, p := range points {
		sums[i+1] = sums[i] + p.Y
	}
	smooth := slices.Clone(points)
	for i := range smooth {
		half := min(window/2, i, len(points)-1-i)
		smooth[i].Y = (sums[i+half+1] - sums[i-half]) / float64(2*half+1)
	}
	return smooth
}
