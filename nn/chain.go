package nn

import (
	"fmt"
	"strconv"

	"convoy/kernels"
)

// Chain is layers one after another, numbered from 0 as torch.nn.Sequential
// numbers them, unless they are Named. A Chain within a Chain is only a way to
// write it: its layers are numbered as if they stood in the outer one.
type Chain []Layer

func (l Chain) String() string {
	layers, _ := l.flat()
	return fmt.Sprintf("Chain of %d layers", len(layers))
}

func (Chain) kind() string { return "chain" }

// flat returns the layers with inner chains spliced in, and their names.
func (l Chain) flat() (layers []Layer, names []string) {
	l.each("", func(layer Layer, name string) {
		if name == "" {
			name = strconv.Itoa(len(layers))
		}
		layers, names = append(layers, layer), append(names, name)
	})
	return layers, names
}

// each calls f with each layer of l, inner chains spliced in, and the name that
// it is given by the Named around it, or else the one given here.
func (l Chain) each(name string, f func(layer Layer, name string)) {
	for _, layer := range l {
		switch layer := layer.(type) {
		case Chain:
			layer.each(name, f)
		case Named:
			Chain{layer.Layer}.each(layer.Name, f)
		default:
			f(layer, name)
		}
	}
}

func (l Chain) bind(b *binder, in Shape) (operator, error) {
	layers, names := l.flat()
	if len(layers) == 0 {
		where := "network"
		if len(b.path) > 0 {
			where = "branch " + b.name()
		}
		return nil, fmt.Errorf("the %s has no layers: give it at least one", where)
	}
	c := &chain{depth: b.depth, wantsInput: b.below}
	b.depth++
	defer func() { b.depth-- }()
	i, err := c.bindLanes(b, layers, names, in)
	if err != nil {
		return nil, err
	}
	for ; i < len(layers); i++ {
		err := b.within(names[i], func() error { return c.append(b, layers[i], in) })
		if err != nil {
			return nil, err
		}
	}
	c.plan(b)
	return c, nil
}

// A chain is operators one after another and the memory between them. Each
// operator's output has a buffer, which backward needs; the gradients on the way
// back alternate between two buffers, which all chains of one depth share.
type chain struct {
	links      []link
	depth      int
	wantsInput bool // the gradient of the chain's input is wanted
	first      int  // backward ends here: no operator before it learns
}

// A link is an operator in its place.
type link struct {
	op      operator
	name    string // of the layer, the first of those that are fused
	traits  traits
	in, out Shape
	learns  bool
	over    bool // its output overwrites its input
	side    int  // the buffer that its input's gradient goes to; inPlace for its output's

	x, y   kernels.Maps // of this pass
	buffer []float32
}

// append binds a layer to the end of the chain.
func (c *chain) append(b *binder, l Layer, in Shape) error {
	before := b.params
	var previous operator
	if n := len(c.links); n > 0 {
		previous, in = c.links[n-1].op, c.links[n-1].out
	}
	if f, ok := previous.(fuser); ok && !b.apart && f.fuse(l) {
		b.list(l, Info{Out: in, Algorithm: "fused"})
		return nil
	}
	op, err := b.layer(l, in)
	if err != nil {
		return err
	}
	if m, ok := op.(*maxPool); ok {
		m.takeReLU(previous)
	}
	c.links = append(c.links, link{op: op, name: b.name(), in: in, out: op.out(), learns: b.params > before})
	return nil
}

// A fuser is an operator that can compute the layer behind it too; fuse reports
// whether it will.
type fuser interface{ fuse(l Layer) bool }

// plan decides who overwrites what, where backward ends and which buffers the
// gradients take.
func (c *chain) plan(b *binder) {
	for i := range c.links {
		c.links[i].traits = c.links[i].op.traits()
		c.links[i].over = c.overwrites(i)
	}
	if !c.wantsInput {
		for c.first < len(c.links) && !c.links[c.first].learns {
			c.first++
		}
	}
	if c.first < len(c.links) {
		c.planGradients(b)
	}
}

// inPlace is the side of a gradient that overwrites the one it is computed from.
const inPlace = -1

func (c *chain) planGradients(b *binder) {
	side, window := 0, c.depth > 0 // window: the gradient on its way may be one
	take := func(s Shape) (taken int) {
		b.side(c.depth, side, s.Len())
		side, window = side^1, false
		return side ^ 1
	}
	if c.copies() {
		take(c.out())
	}
	for i := len(c.links) - 1; i >= c.first; i-- {
		l := &c.links[i]
		dense := i > 0 && window && !c.links[i-1].traits.windows
		switch {
		case i == c.first && !c.wantsInput:
		case l.traits.view, l.traits.inPlace && !dense:
			l.side = inPlace
		case i == 0 && (l.traits.adds || c.depth == 0):
		default:
			l.side = take(l.in)
		}
	}
}

// overwrites reports whether operator i may write over its input: that belongs
// to an operator of this chain and nobody needs it in backward.
func (c *chain) overwrites(i int) bool {
	t := c.links[i].traits
	if t.view {
		return true
	}
	for i--; t.inPlace && i >= 0; i-- {
		if need := c.links[i].traits.needs; need == values || need == signs && !t.keepsSigns {
			return false
		}
		if !c.links[i].over {
			return true
		}
	}
	return false
}

// copies reports whether the output of the last operator, and its gradient, must
// be copied where they are a window of other maps.
func (c *chain) copies() bool {
	return c.depth > 0 && !c.links[len(c.links)-1].traits.windows
}

// buffers reports whether operator i's output has memory of its own.
func (c *chain) buffers(i int) bool {
	if l := c.links[i]; i < len(c.links)-1 || l.traits.view {
		return !l.over
	}
	return c.copies()
}

func (c *chain) out() Shape { return c.links[len(c.links)-1].out }

// last is the operator whose output is the chain's.
func (c *chain) last() operator { return c.links[len(c.links)-1].op }

func (c *chain) traits() traits {
	t := traits{windows: true, adds: true}
	for i := len(c.links) - 1; i >= 0; i-- {
		t.needs = max(t.needs, c.links[i].traits.needs)
		if !c.links[i].over {
			break
		}
	}
	return t
}

func (c *chain) forward(r *run, x, y kernels.Maps) {
	last := len(c.links) - 1
	for i := range c.links {
		l := &c.links[i]
		l.x = x
		switch {
		case i == last && (l.traits.windows || y.Pitch == l.out.C):
			l.y = y
		case c.buffers(i):
			l.y = r.maps(&l.buffer, l.out)
		default:
			l.y = kernels.Maps{V: x.V, Pitch: l.out.C}
		}
		l.op.forward(r, l.x, l.y)
		if r.observe != nil {
			r.observe(l.name, l.out, l.y)
		}
		x = l.y
	}
	if !same(x, y) {
		kernels.CopyMaps(r.pool, r.n*c.out().pixels(), c.out().C, x, y)
	}
}

func (c *chain) backward(r *run, _, _, gy, gx kernels.Maps, add bool) {
	if c.first == len(c.links) {
		return
	}
	if out := c.out(); c.copies() && gy.Pitch != out.C {
		window := gy
		gy = r.gradient(c.depth, 0, out)
		kernels.CopyMaps(r.pool, r.n*out.pixels(), out.C, window, gy)
	}
	for i := len(c.links) - 1; i >= c.first; i-- {
		l := &c.links[i]
		to, adds := kernels.Maps{}, false
		switch {
		case i == c.first && !c.wantsInput:
		case i == 0 && (l.traits.adds || !add):
			to, adds = gx, add
		case l.traits.view:
			to = kernels.Maps{V: gy.V, Pitch: l.in.C}
		case l.side == inPlace:
			to = gy
		default:
			to = r.gradient(c.depth, l.side, l.in)
		}
		l.op.backward(r, l.x, l.y, gy, to, adds)
		if i == 0 && add && !adds && c.wantsInput {
			kernels.AddMaps(r.pool, r.n*l.in.pixels(), l.in.C, to, gx)
		}
		gy = to
	}
}
