package picture

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"strconv"
)

// Confusion is a matrix of how many examples of each class were taken for which.
type Confusion struct {
	Title  string
	Lines  []string
	Names  []string // of the classes
	Counts [][]int  // [class][class predicted]
}

// Up to so many classes a matrix has a count in each cell and a name at each row.
const countedClasses = 24

// maxNames is the most that a name takes of a matrix's margin, in pixels.
const maxNames = 120

// Draw draws the matrix: rows are classes, columns what they were taken for, and
// a cell's colour is its share of the row, blue where it is the diagonal and red
// elsewhere. Other shares than of the class itself are small where a network is
// good, so their colour follows the square root.
func (c Confusion) Draw() (*image.RGBA, error) {
	l := c.layout()
	p, err := newPen(l.width, l.height)
	if err != nil {
		return nil, err
	}
	p.write(p.title, ink, margin, margin+titleSize, c.Title)
	for i, line := range c.Lines {
		p.write(p.text, pale, margin, margin+titleSize+(i+1)*lineHeight, line)
	}
	n, side := len(c.Counts), l.cell*len(c.Counts)
	for i, row := range c.Counts {
		total := 0
		for _, count := range row {
			total += count
		}
		for j, count := range row {
			c.cell(p, l, i, j, count, total)
		}
	}
	for k := range n + 1 {
		if l.cell >= 12 || k == 0 || k == n {
			p.fill(image.Rect(l.left+k*l.cell, l.top, l.left+k*l.cell+1, l.top+side+1), hair)
			p.fill(image.Rect(l.left, l.top+k*l.cell, l.left+side+1, l.top+k*l.cell+1), hair)
		}
	}
	for k := 0; k < n; k += l.every {
		name := fit(p.text, c.name(k, l), maxNames)
		middle := k*l.cell + (l.cell+textSize)/2 - 1
		p.right(p.text, ink, l.left-6, l.top+middle, name)
		p.upward(p.text, ink, l.left+middle, l.top-6, name)
	}
	p.center(p.label, pale, l.left+side/2, l.top+side+labelSize+6, "columns: the class predicted; rows: the class that it is")
	return p.img, nil
}

// cell paints one cell.
func (c Confusion) cell(p *pen, l confusionLayout, i, j, count, total int) {
	if count == 0 {
		return
	}
	share := float64(count) / float64(total)
	background := tint(color.RGBA{31, 98, 168, 255}, share)
	if i != j {
		background = tint(color.RGBA{200, 50, 40, 255}, math.Sqrt(share))
	}
	x, y := l.left+j*l.cell, l.top+i*l.cell
	p.fill(image.Rect(x, y, x+l.cell, y+l.cell), background)
	if len(c.Counts) > countedClasses {
		return
	}
	words := color.Color(ink)
	if luma(background) < 140 {
		words = paper
	}
	p.center(p.label, words, x+l.cell/2+1, y+(l.cell+labelSize)/2-1, strconv.Itoa(count))
}

// confusionLayout is where things are, in pixels.
type confusionLayout struct {
	width, height, left, top int
	cell                     int // side of a cell
	every                    int // of how many classes one is named
}

func (c Confusion) layout() confusionLayout {
	t := tools()
	n := len(c.Counts)
	l := confusionLayout{every: 1}
	if n > countedClasses {
		l.cell = max(2, min(16, 900/n))
		l.every = (textSize + 2 + l.cell - 1) / l.cell
	} else {
		l.cell = 30
		for _, row := range c.Counts {
			for _, count := range row {
				l.cell = max(l.cell, width(t.label, strconv.Itoa(count))+8)
			}
		}
	}
	names := 0
	for k := 0; k < n; k += l.every {
		names = max(names, min(maxNames, width(t.text, c.name(k, l))))
	}
	text := max(width(t.title, c.Title), width(t.label, "columns: the class predicted; rows: the class that it is"))
	for _, line := range c.Lines {
		text = max(text, width(t.text, line))
	}
	l.left = margin + names + 8
	l.top = margin + titleSize + len(c.Lines)*lineHeight + margin + names + 8
	l.width = max(l.left+n*l.cell, margin+text, l.left+n*l.cell/2+text/2) + margin
	l.height = l.top + n*l.cell + labelSize + 8 + margin
	return l
}

// name is what stands at a class's row: with its number where not all are named.
func (c Confusion) name(k int, l confusionLayout) string {
	if l.every > 1 && c.Names[k] != strconv.Itoa(k) {
		return fmt.Sprintf("%d %s", k, c.Names[k])
	}
	return c.Names[k]
}

// tint is a colour of the given strength on paper, 0 to 1.
func tint(c color.RGBA, strength float64) color.RGBA {
	mix := func(full uint8) uint8 { return uint8(255 - strength*float64(255-full) + 0.5) }
	return color.RGBA{mix(c.R), mix(c.G), mix(c.B), 255}
}

// luma is how light a colour looks, 0 to 255.
func luma(c color.RGBA) int { return (299*int(c.R) + 587*int(c.G) + 114*int(c.B)) / 1000 }
