package kernels

// windowValues is the number of pixels of a window: a power of two, so that the
// mean times so much is the sum, and nothing is rounded more.
const windowValues = 4

// parameters is the number of biases, and of the coefficients and shifts behind
// them where the stage subsamples.
func (s *laneStage) parameters() int { return s.LaneStage.Biases() }

// averages reports whether the stage takes means of windows.
func (s *laneStage) averages() bool { return s.Pooling == AveragePooled || s.Pooling == Subsampled }

// means is where the means of the windows go: the output, or what it is computed
// from.
func (s *laneStage) means() *laneMaps {
	if s.Pooling == Subsampled {
		return &s.mean
	}
	return s.y
}

// coefficient is what output o multiplies the mean of a window by, and what it
// adds.
func (s *laneStage) coefficient(o int) (scale, shift float32) {
	return windowValues * s.bias[s.conv.O+o], s.bias[2*s.conv.O+o]
}

// subsample computes a row of a group's outputs from the means.
func (s *laneStage) subsample(t *laneThread, group, row int) {
	for o := range s.conv.O {
		scale, shift := s.coefficient(o)
		y := s.y.row(group, o, row)
		for i, v := range s.mean.row(group, o, row) {
			y[i] = float32(scale*v) + shift
		}
	}
	s.activate(t, s.After, s.y, group, row, 1)
}

// subsampled sums the gradients of the coefficients and the shifts, in each lane,
// and makes gy the gradient of the means.
func (b *lanePass) subsampled() {
	for o := range b.conv.O {
		p := b.gy.at(0, o, 0, 0)
		b.derivative(b.After, b.y, p, &b.gy, p, &b.gy, o, 0, b.gy.h)
		scale, _ := b.coefficient(o)
		var products, plain laneValues
		for row := range b.gy.h {
			rowProducts, rowPlain := laneProducts(b.gy.row(0, o, row), b.mean.row(b.group, o, row), scale)
			if row > 0 {
				rowProducts, rowPlain = plusLanes(&products, &rowProducts), plusLanes(&plain, &rowPlain)
			}
			products, plain = rowProducts, rowPlain
		}
		for l := range products {
			products[l] *= windowValues
		}
		sums := b.sums[(b.group*b.gradient()+b.conv.Weights())*lane:]
		copy(sums[(b.conv.O+o)*lane:], products[:])
		copy(sums[(2*b.conv.O+o)*lane:], plain[:])
	}
}

// laneProducts returns Σ g·m and Σ g of a row, lane by lane, and multiplies g by
// scale.
func laneProducts(g, m []float32, scale float32) (products, plain laneValues) {
	for ; len(g) > 0; g, m = g[lane:], m[lane:] {
		g, m := (*laneValues)(g), (*laneValues)(m)
		for l, v := range g {
			products[l] += float32(v * m[l])
			plain[l] += v
			g[l] = v * scale
		}
	}
	return products, plain
}
