package kernels

// piece is the greatest number of products in one chain.
const piece = 256

// A kernelPiece is a piece of the sum over a kernel: of rows kernel rows from row
// on, the n products of each row's run from first on.
type kernelPiece struct{ row, rows, first, n int }

// kernelPieces cuts a sum over kh kernel rows of run products each.
func kernelPieces(kh, run int) (pieces []kernelPiece) {
	if run <= piece {
		rows := newPartition(kh, piece/run)
		for i := range rows.parts {
			pieces = append(pieces, kernelPiece{rows.from(i), rows.from(i+1) - rows.from(i), 0, run})
		}
		return pieces
	}
	parts := newPartition(run, piece)
	for row := range kh {
		for i := range parts.parts {
			pieces = append(pieces, kernelPiece{row, 1, parts.from(i), parts.from(i+1) - parts.from(i)})
		}
	}
	return pieces
}

// A pixelPiece is n output pixels from pixel p on, counted over all examples, as
// lines of equal length.
type pixelPiece struct{ p, lines, width int }

// pixels is the number of pixels of q.
func (q pixelPiece) pixels() int { return q.lines * q.width }

// pixelPieces is how a micro-batch's sum is cut.
type pixelPieces struct {
	examples int       // in a piece; 0 if an example is cut
	lines    partition // of an example
	parts    partition // of a line
}

func newPixelPieces(s Conv) pixelPieces {
	return pixelPieces{
		examples: piece / (s.OutH() * s.OutW()),
		lines:    newPartition(s.OutH(), max(1, piece/s.OutW())),
		parts:    newPartition(s.OutW(), piece),
	}
}

// next returns the piece that begins with pixel p, in a micro-batch that ends with
// pixel end.
func (q pixelPieces) next(p, end int) pixelPiece {
	area := q.lines.n * q.parts.n
	if q.examples > 0 {
		n := min(end-p, q.examples*area)
		return pixelPiece{p, n / q.parts.n, q.parts.n}
	}
	line, column := p%area/q.parts.n, p%q.parts.n
	if q.parts.parts > 1 {
		i := q.parts.at(column)
		return pixelPiece{p, 1, q.parts.from(i+1) - column}
	}
	i := q.lines.at(line)
	return pixelPiece{p, q.lines.from(i+1) - line, q.parts.n}
}
