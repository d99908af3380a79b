package main

import (
	"fmt"
	"math/bits"
	"strings"
)

// Offsets in the struct rows of package kernels.
const (
	rowsX = 8 * iota
	rowsG
	rowsY
	rowsXRow
	rowsGRow
	rowsYRow
	rowsRows
	rowsN
	rowsS
)

// elements emits the elementwise loops.
func elements(w *writer) string {
	var table strings.Builder
	exp := expPool(w)
	fmt.Fprintf(&table, "\nvar %sElements = elementVectors{element: [elementOps]func(r *rows){\n", w.name)
	emit := func(op, operands string, unroll int, setup func(k *rowsKernel) func(u int)) {
		name := strings.ToLower(op[:1]) + op[1:]
		if strings.HasPrefix(op, "ReLU") {
			name = "relu" + op[4:]
		}
		f := w.kernel(name+"Rows", "r *rows", func(a *asm) {
			k := &rowsKernel{asm: a, operands: operands, exp: exp}
			k.emit(unroll, setup)
		})
		fmt.Fprintf(&table, "\top%s: %s,\n", op, f)
	}
	emit("ReLU", "xy", 4, (*rowsKernel).relu)
	emit("ReLUBackward", "xgy", 4, (*rowsKernel).reluBackward)
	emit("Sigmoid", "xy", 1, (*rowsKernel).sigmoid)
	emit("SigmoidBackward", "xgy", 2, (*rowsKernel).sigmoidBackward)
	emit("Tanh", "xy", 1, (*rowsKernel).tanh)
	emit("TanhBackward", "xgy", 2, (*rowsKernel).tanhBackward)
	emit("ScaledTanh", "xy", 1, (*rowsKernel).scaledTanh)
	emit("ScaledTanhBackward", "xgy", 2, (*rowsKernel).scaledTanhBackward)
	emit("Add", "xgy", 4, (*rowsKernel).plus)
	emit("Dropout", "xgy", 4, (*rowsKernel).dropout)
	emit("Divide", "xy", 2, (*rowsKernel).divide)
	for _, u := range []update{
		{},
		{decay: true},
		{momentum: true},
		{momentum: true, decay: true},
		{momentum: true, nesterov: true},
		{momentum: true, nesterov: true, decay: true},
	} {
		emit(u.name(), "xgy", 2, u.setup)
	}
	return table.String() + "}}\n"
}

// A rowsKernel is the registers of one elementwise loop. What setup returns emits
// the u-th vector of an iteration.
type rowsKernel struct {
	*asm
	operands string // of x, g and y
	exp      *pool
	x, g, y  ptr  // of the vectors of this iteration
	oneByte  bool // g is bytes
}

func (k *rowsKernel) emit(unroll int, setup func(k *rowsKernel) func(u int)) {
	body := setup(k)
	groups, rows, count := k.argument(rowsN), k.argument(rowsRows), k.pointer()
	k.shiftRight(groups, bits.TrailingZeros(uint(k.lanes)))
	type operand struct {
		first   ptr
		current *ptr
		row     int
		bytes   int
	}
	var list []operand
	for _, o := range k.operands {
		size := k.bytes()
		switch o {
		case 'x':
			k.x = k.pointer()
			list = append(list, operand{k.argument(rowsX), &k.x, rowsXRow, size})
		case 'g':
			k.g = k.pointer()
			if k.oneByte {
				size = k.lanes
			}
			list = append(list, operand{k.argument(rowsG), &k.g, rowsGRow, size})
		case 'y':
			k.y = k.pointer()
			list = append(list, operand{k.argument(rowsY), &k.y, rowsYRow, size})
		}
	}
	k.loop(rows, func() {
		k.move(count, groups)
		for _, o := range list {
			k.move(*o.current, o.first)
		}
		k.unrolled(count, unroll, body, func(n int) {
			for _, o := range list {
				k.addConst(*o.current, n*o.bytes)
			}
		})
		for _, o := range list {
			k.addArgument(o.first, o.row)
		}
	})
}

// vectorOf is where the u-th vector of an iteration is.
func (k *rowsKernel) vectorOf(p ptr, u int) mem { return at(p, u*k.bytes()) }

func (k *rowsKernel) relu() func(u int) {
	low, v, t := k.vector(), k.vector(), k.vector()
	k.zero(low)
	return func(u int) {
		k.load(v, k.vectorOf(k.x, u))
		k.atLeast(v, low, t)
		k.store(v, k.vectorOf(k.y, u))
	}
}

func (k *rowsKernel) reluBackward() func(u int) {
	zero, y, g, above := k.vector(), k.vector(), k.vector(), k.mask()
	k.zero(zero)
	return func(u int) {
		k.load(y, k.vectorOf(k.x, u))
		k.load(g, k.vectorOf(k.g, u))
		k.compare(above, "gt", y, zero)
		k.keep(g, above, g)
		k.store(g, k.vectorOf(k.y, u))
	}
}

func (k *rowsKernel) sigmoid() func(u int) {
	e, x, t := k.exponential(k.exp, k.constants(sigmoidConstants)...), k.vector(), k.take(4)
	return func(u int) {
		k.load(x, k.vectorOf(k.x, u))
		e.sigmoid(x, t)
		k.store(x, k.vectorOf(k.y, u))
	}
}

func (k *rowsKernel) tanh() func(u int) {
	e, x, t := k.exponential(k.exp, k.constants(tanhConstants)...), k.vector(), k.take(5)
	return func(u int) {
		k.load(x, k.vectorOf(k.x, u))
		e.tanh(x, t)
		k.store(x, k.vectorOf(k.y, u))
	}
}

func (k *rowsKernel) scaledTanh() func(u int) {
	e, x, t := k.exponential(k.exp, k.constants(scaledTanhConstants)...), k.vector(), k.take(5)
	return func(u int) {
		k.load(x, k.vectorOf(k.x, u))
		e.scaledTanh(x, t)
		k.store(x, k.vectorOf(k.y, u))
	}
}

// constants are those that there are registers for: all or none.
func (k *rowsKernel) constants(names []string) []string {
	if k.vectors == 32 {
		return names
	}
	return nil
}

// constantOf returns a register of a constant.
func (k *rowsKernel) constantOf(name string) vec {
	e, v := k.exponential(k.exp), k.vector()
	e.set(v, name)
	k.free(e.table)
	return v
}

func (k *rowsKernel) sigmoidBackward() func(u int) {
	one, y, t := k.constantOf("one"), k.vector(), k.vector()
	return func(u int) {
		k.load(y, k.vectorOf(k.x, u))
		k.subv(t, one, y)
		k.mulv(y, y, t)
		k.load(t, k.vectorOf(k.g, u))
		k.mulv(y, t, y)
		k.store(y, k.vectorOf(k.y, u))
	}
}

func (k *rowsKernel) tanhBackward() func(u int) {
	one, y, t := k.constantOf("one"), k.vector(), k.vector()
	return func(u int) {
		k.load(y, k.vectorOf(k.x, u))
		k.subv(t, one, y)
		k.addv(y, one, y)
		k.mulv(y, t, y)
		k.load(t, k.vectorOf(k.g, u))
		k.mulv(y, t, y)
		k.store(y, k.vectorOf(k.y, u))
	}
}

func (k *rowsKernel) scaledTanhBackward() func(u int) {
	height, slope := k.constantOf("tanhHeight"), k.constantOf("tanhSlope")
	y, t := k.vector(), k.vector()
	return func(u int) {
		k.load(y, k.vectorOf(k.x, u))
		k.subv(t, height, y)
		k.addv(y, height, y)
		k.mulv(y, t, y)
		k.mulv(y, slope, y)
		k.load(t, k.vectorOf(k.g, u))
		k.mulv(y, t, y)
		k.store(y, k.vectorOf(k.y, u))
	}
}

func (k *rowsKernel) plus() func(u int) {
	v, t := k.vector(), k.vector()
	return func(u int) {
		k.load(v, k.vectorOf(k.g, u))
		k.addMem(v, v, k.vectorOf(k.x, u), t)
		k.store(v, k.vectorOf(k.y, u))
	}
}

func (k *rowsKernel) dropout() func(u int) {
	k.oneByte = true
	zero, scale, v, b, dropped := k.vector(), k.vector(), k.vector(), k.vector(), k.mask()
	k.zero(zero)
	k.broadcast(scale, at(k.args, rowsS))
	return func(u int) {
		k.loadBytes(b, at(k.g, u*k.lanes))
		k.load(v, k.vectorOf(k.x, u))
		k.equalInts(dropped, b, zero)
		k.mulv(v, v, scale)
		k.choose(v, dropped, zero, v)
		k.store(v, k.vectorOf(k.y, u))
	}
}

func (k *rowsKernel) divide() func(u int) {
	n, v := k.vector(), k.vector()
	k.broadcast(n, at(k.args, rowsS))
	return func(u int) {
		k.load(v, k.vectorOf(k.x, u))
		k.divv(v, v, n)
		k.store(v, k.vectorOf(k.y, u))
	}
}

// An update is one variant of Update; x is the velocity, g the gradient and y the
// parameters.
type update struct{ momentum, decay, nesterov bool }

func (o update) name() string {
	name := "Update"
	switch {
	case o.nesterov:
		name += "Nesterov"
	case o.momentum:
		name += "Momentum"
	}
	if o.decay {
		name += "Decay"
	}
	return name
}

func (o update) setup(k *rowsKernel) func(u int) {
	if !o.momentum {
		k.operands = "gy"
	}
	lr, decay, momentum, scale := k.vector(), k.vector(), k.vector(), k.vector()
	for i, v := range []vec{lr, decay, momentum, scale} {
		k.broadcast(v, at(k.args, rowsS+4*i))
	}
	p, g, v := k.vector(), k.vector(), k.vector()
	return func(u int) {
		k.load(g, k.vectorOf(k.g, u))
		k.mulv(g, scale, g)
		k.load(p, k.vectorOf(k.y, u))
		if o.decay {
			k.mulv(v, decay, p)
			k.addv(g, g, v)
		}
		step := g
		if o.momentum {
			k.load(v, k.vectorOf(k.x, u))
			k.mulv(v, momentum, v)
			k.addv(v, v, g)
			k.store(v, k.vectorOf(k.x, u))
			step = v
			if o.nesterov {
				k.mulv(v, momentum, v)
				k.addv(v, g, v)
			}
		}
		k.mulv(step, lr, step)
		k.subv(p, p, step)
		k.store(p, k.vectorOf(k.y, u))
	}
}
