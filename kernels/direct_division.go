package kernels

// A division is how the weights are divided into the blocks of backward-weights'
// tasks.
type division struct {
	kernelRows, channels partition
	panels               partition // of outputs, cols wide
}

// maxBlock is how many sums a block should have at most: half of a second
// level cache.
const maxBlock = 128 << 10

// divideWeights looks for the division with the shortest time by a simple model
// of a task: the products, then what it copies to have its operands together.
func divideWeights(s Conv, i *isa, threads int) (best division) {
	least := -1.0
	panels := (s.O + i.cols - 1) / i.cols
	for rows := 1; rows <= s.KH; rows++ {
		for channels := 1; channels == 1 || channels <= s.C/i.rows; channels++ {
			for outputs := 1; outputs <= panels; outputs++ {
				d := division{partition{s.KH, rows}, partition{s.C, channels}, partition{panels, outputs}}
				if c := d.cost(s, i, threads); least < 0 || c < least {
					least, best = c, d
				}
			}
		}
	}
	return best
}

// cost is about how many cycles an output pixel takes, on the busiest thread.
func (d division) cost(s Conv, i *isa, threads int) float64 {
	rows, channels, outputs := d.kernelRows.longest(), d.channels.longest(), d.panels.longest()*i.cols
	products := float64(float64(rows*s.KW*channels*outputs) / 16)
	copied := float64(outputs)
	inputs := float64(s.StrideH * s.StrideW * channels)
	if s.OutH()*s.OutW() <= piece/2 {
		inputs = float64(inputs * float64(rows))
	}
	copied += inputs
	cycles := products + copied
	if rows*s.KW*channels*outputs > maxBlock {
		cycles += float64(products / 4)
	}
	return cycles * float64((d.tasks()+threads-1)/threads)
}

func (d division) tasks() int { return d.kernelRows.parts * d.channels.parts * d.panels.parts }

// take makes b the block of a task.
func (g *weightGradient) take(b *weightBlock, task int) {
	row, task := task%g.kernelRows.parts, task/g.kernelRows.parts
	channel, panel := task%g.channels.parts, task/g.channels.parts
	b.row, b.rows = g.kernelRows.part(row)
	b.channel, b.channels = g.channels.part(channel)
	first, n := g.panels.part(panel)
	b.output = first * g.isa.cols
	b.outputs = min(n*g.isa.cols, g.s.O-b.output)
}

// panelWidth is the width of a panel for the outputs that are left.
func panelWidth(left, cols int) int {
	if left <= 16 {
		return 16
	}
	return cols
}

// padded is the number of outputs with those that fill the last panel.
func padded(outputs, cols int) int {
	last := (outputs - 1) / cols * cols
	return last + panelWidth(outputs-last, cols)
}

// blockFloats is the number of sums of a block.
func (g *weightGradient) blockFloats(b *weightBlock) int {
	return padded(b.outputs, g.isa.cols) * (b.rows*g.s.KW*b.channels + 1)
}

// xFloats and gyFloats are how much room the operands of a piece take.
func (g *weightGradient) xFloats() int {
	s, q := g.s, newPixelPieces(g.s)
	line := ((q.parts.longest()-1)*s.StrideW + s.KW) * g.channels.longest()
	rows := (q.lines.longest()-1)*s.StrideH + g.kernelRows.longest()
	return line * max(rows, q.examples*s.OutH())
}

func (g *weightGradient) gyFloats() int { return piece * g.panels.longest() * g.isa.cols }

func (g *weightGradient) scratch() int {
	block := g.panels.longest() * g.isa.cols * (g.kernelRows.longest()*g.s.KW*g.channels.longest() + 1)
	return g.xFloats() + g.gyFloats() + stackDepth(g.call.cuts)*block
}
