package nn

import "convoy/kernels"

// bindLanes binds the layers at the beginning of a network that one operator
// computes with images in the lanes of vectors, and returns how many they are:
// convolutions that kernels.LaneStage.Fits, each with the activation and the
// pooling of 2×2 behind it (and behind Subsample one more), and the Flatten behind
// the last. Such an operator
// takes images as they come, [C][H][W], and its layers stand in the summary one
// by one. It has no gradient of its input, so a part of a network has none.
func (c *chain) bindLanes(b *binder, layers []Layer, names []string, in Shape) (taken int, err error) {
	if b.options.Direct || b.apart || c.depth > 0 || c.wantsInput {
		return 0, nil
	}
	op, first := &lanes{shape: in}, len(b.infos)
	take := func(l Layer, s kernels.Conv) {
		err = b.within(names[taken], func() error { op.list(b, l, s); return nil })
		taken++
	}
	var stages []kernels.LaneStage
	for taken < len(layers) {
		stage, n := laneStage(layers[taken:], op.shape)
		if n == 0 || !stage.Fits() {
			break
		}
		stages = append(stages, stage)
		for _, l := range layers[taken : taken+n] {
			take(l, stage.Conv)
		}
	}
	if taken == 0 {
		return 0, nil
	}
	if taken < len(layers) && layers[taken] == (Flatten{}) {
		take(layers[taken], kernels.Conv{})
	}
	b.infos[first].Stages = stages
	op.plan = kernels.NewLanes(stages)
	n := len(stages)
	op.w, op.b, op.gw, op.gb = make([][]float32, n), make([][]float32, n), make([][]float32, n), make([][]float32, n)
	b.packers = append(b.packers, op)
	b.below = true
	c.links = append(c.links, link{op: op, in: in, out: op.shape, learns: true})
	return taken, err
}

// laneStage is the stage that some layers begin with, and how many of them it
// is made of; none where the first is no convolution.
func laneStage(layers []Layer, in Shape) (s kernels.LaneStage, n int) {
	conv, ok := layers[0].(Conv)
	if !ok || conv.check(in) != nil {
		return s, 0
	}
	s.Conv, n = conv.geometry(in), 1
	if n < len(layers) {
		if s.Activation = laneActivation(layers[n]); s.Activation != kernels.Identity {
			n++
		}
	}
	if n < len(layers) {
		if s.Pooling = lanePooling(layers[n]); s.Pooling != kernels.Unpooled {
			n++
		}
	}
	if n < len(layers) && s.Pooling == kernels.Subsampled {
		if s.After = laneActivation(layers[n]); s.After != kernels.Identity {
			n++
		}
	}
	return s, n
}

func laneActivation(l Layer) kernels.Activation {
	switch l.(type) {
	case ReLU:
		return kernels.ReLU
	case Sigmoid:
		return kernels.Sigmoid
	case Tanh:
		return kernels.Tanh
	case ScaledTanh:
		return kernels.ScaledTanh
	}
	return kernels.Identity
}

func lanePooling(l Layer) kernels.Pooling {
	switch l := l.(type) {
	case MaxPool:
		if halves(l.Kernel, l.Stride, l.Pad) {
			return kernels.MaxPooled
		}
	case AvgPool:
		if halves(l.Kernel, l.Stride, l.Pad) {
			return kernels.AveragePooled
		}
	case Subsample:
		if !l.Max {
			return kernels.Subsampled
		}
	}
	return kernels.Unpooled
}

// halves reports whether a pooling is by squares of 2×2 side by side.
func halves(kernel, stride, pad int) bool { return kernel == 2 && or(stride, 2) == 2 && pad == 0 }

// lanes is the operator of the layers that bindLanes takes.
type lanes struct {
	plan  *kernels.Lanes
	shape Shape // of the output
	convs []convParams

	w, b, gw, gb [][]float32 // of this pass
	whole        [2]int      // the cuts of an evaluation
	y, gy        []float32   // as planes, where the chain's are maps
}

// list takes over one of the layers, which changes the shape, and lists it.
func (o *lanes) list(b *binder, l Layer, s kernels.Conv) {
	before, in := b.params, o.shape
	info := Info{Algorithm: "fused"}
	kernel, stride := 1, 1
	switch l := l.(type) {
	case Conv:
		p := l.params(b, in)
		o.convs = append(o.convs, p)
		o.shape = Shape{s.O, s.OutH(), s.OutW()}
		kernel, stride = s.KH, s.StrideH
		info.Algorithm, info.MACs = "lanes", p.macs(s)
	case Subsample:
		_, shift := l.params(b, in)
		o.convs[len(o.convs)-1].bias.high = shift.high // the kernels take them as one
		o.shape = Shape{in.C, in.H / 2, in.W / 2}
		kernel, stride = 2, 2
	case MaxPool, AvgPool:
		o.shape = Shape{in.C, in.H / 2, in.W / 2}
		kernel, stride = 2, 2
	case Flatten:
		o.shape = Shape{in.Len(), 1, 1}
		kernel = max(in.H, in.W)
	}
	info.Out, info.Params = o.shape, b.params-before
	b.field = b.field.after(kernel, stride)
	b.list(l, info)
}

func (o *lanes) out() Shape     { return o.shape }
func (o *lanes) traits() traits { return traits{} }
func (o *lanes) takesImages()   {}

func (o *lanes) memory(cuts []int) (packed, activations int) {
	n := cuts[len(cuts)-1]
	activations = o.plan.Bytes(n)
	if o.turned() {
		activations += 2 * floatBytes * n * o.shape.Len()
	}
	for i := range o.convs {
		packed += o.convs[i].table.bytes()
	}
	return packed, activations
}

// turned reports whether the kernels' order of the output is not the chain's.
func (o *lanes) turned() bool { return o.shape.C > 1 && o.shape.pixels() > 1 }

func (o *lanes) pack(r *run) {
	for i := range o.convs {
		o.w[i], o.b[i] = o.convs[i].kernels(r.params), o.convs[i].bias.of(r.params)
	}
	o.plan.Pack(o.w, r.training)
}

func (o *lanes) forward(r *run, x, y kernels.Maps) {
	cuts := r.cuts
	if !r.training {
		o.whole[1] = r.n
		cuts = o.whole[:]
	}
	if !o.turned() {
		o.plan.Forward(r.pool, cuts, x.V, o.b, y.V)
		return
	}
	planes := r.maps(&o.y, o.shape)
	o.plan.Forward(r.pool, cuts, x.V, o.b, planes.V)
	kernels.NCHWToMaps(r.pool, r.n, o.shape.C, o.shape.pixels(), planes.V, y)
}

func (o *lanes) backward(r *run, _, _, gy, _ kernels.Maps, _ bool) {
	if o.turned() {
		planes := r.maps(&o.gy, o.shape)
		kernels.MapsToNCHW(r.pool, r.n, o.shape.C, o.shape.pixels(), gy, planes.V)
		gy = planes
	}
	for i := range o.convs {
		o.gw[i], o.gb[i] = o.convs[i].gradient(r.grad), o.convs[i].bias.of(r.grad)
	}
	o.plan.Backward(r.pool, gy.V, o.gw, o.gb)
	for i := range o.convs {
		o.convs[i].gathered(r.grad)
	}
}

// reorders reports whether images have to be turned into maps: one channel or
// one pixel is both.
func (c *chain) reorders(in Shape) bool {
	_, takes := c.links[0].op.(interface{ takesImages() })
	return !takes && in.C > 1 && in.pixels() > 1
}
