package main

import (
	"fmt"
	"math/bits"
	"strings"
)

// Offsets in the struct channels of package kernels.
const (
	channelsX = 8 * iota
	channelsXTaps
	channelsGY
	channelsY
	channelsR
	channelsRTaps
	channelsQ
	channelsN
	channelsTaps
	channelsShare
	channelsFactor
	channelsK = channelsShare + 4
)

// normalisations emits the loops of local response normalisation.
func normalisations(w *writer) string {
	var table strings.Builder
	fmt.Fprintf(&table, "\nvar %sLRN = lrnVectors{[lrnLoops]func(a *channels){\n", w.name)
	for _, form := range []string{"lrnForward", "lrnGradients", "lrnBackward"} {
		f := w.kernel(form, "a *channels", func(a *asm) {
			k := &lrnKernel{asm: a, form: form}
			k.emit()
		})
		fmt.Fprintf(&table, "\t%s: %s,\n", form, f)
	}
	return table.String() + "}}\n"
}

// An lrnKernel is the registers of one loop of LRN.
type lrnKernel struct {
	*asm
	form               string
	taps, count, tap   ptr
	share, factor, k   vec
	sum, t, root, x, g vec
}

func (k *lrnKernel) emit() {
	k.share, k.factor, k.k = k.vector(), k.vector(), k.vector()
	k.broadcast(k.share, at(k.args, channelsShare))
	k.broadcast(k.factor, at(k.args, channelsFactor))
	k.broadcast(k.k, at(k.args, channelsK))
	k.sum, k.t, k.root, k.x, k.g = k.vector(), k.vector(), k.vector(), k.vector(), k.vector()
	k.taps = k.argument(channelsXTaps)
	moving := []ptr{k.taps, k.argument(channelsX)}
	operand := func(offset int) ptr {
		p := k.argument(offset)
		moving = append(moving, p)
		return p
	}
	var body func()
	switch k.form {
	case "lrnForward":
		y := operand(channelsY)
		body = func() {
			k.denominator(moving[1])
			k.divv(k.x, k.x, k.t)
			k.store(k.x, at(y, 0))
		}
	case "lrnGradients":
		gy, r, q := operand(channelsGY), operand(channelsR), operand(channelsQ)
		body = func() {
			k.denominator(moving[1])
			k.load(k.g, at(gy, 0))
			k.divv(k.x, k.x, k.t)
			k.mulv(k.x, k.g, k.x)
			k.divv(k.x, k.x, k.sum)
			k.store(k.x, at(r, 0))
			k.divv(k.g, k.g, k.t)
			k.store(k.g, at(q, 0))
		}
	case "lrnBackward":
		k.loadPointer(k.taps, k.args, channelsRTaps)
		y, q := operand(channelsY), operand(channelsQ)
		body = func() {
			k.zero(k.sum)
			k.eachTap(func() { k.addMem(k.sum, k.sum, at(k.tap, 0), k.t) })
			k.load(k.x, at(moving[1], 0))
			k.mulv(k.x, k.factor, k.x)
			k.load(k.t, at(q, 0))
			k.fma(k.t, k.x, k.sum)
			k.store(k.t, at(y, 0))
		}
	}
	groups := k.argument(channelsN)
	k.count, k.tap = k.pointer(), k.pointer()
	k.shiftRight(groups, bits.TrailingZeros(uint(k.lanes)))
	k.loop(groups, func() {
		body()
		for _, p := range moving {
			k.addConst(p, k.bytes())
		}
	})
}

// eachTap emits body for each float of a sum, at tap.
func (k *lrnKernel) eachTap(body func()) {
	k.move(k.tap, k.taps)
	k.loadPointer(k.count, k.args, channelsTaps)
	k.loop(k.count, func() {
		body()
		k.addConst(k.tap, 4)
	})
}

// denominator leaves x in x, d in sum and d^0.75 in t.
func (k *lrnKernel) denominator(x ptr) {
	k.zero(k.sum)
	k.eachTap(func() {
		k.load(k.x, at(k.tap, 0))
		k.fma(k.sum, k.x, k.x)
	})
	k.copy(k.t, k.k)
	k.fma(k.t, k.share, k.sum)
	k.copy(k.sum, k.t)
	k.sqrt(k.root, k.sum)
	k.sqrt(k.t, k.root)
	k.mulv(k.t, k.root, k.t)
	k.load(k.x, at(x, 0))
}
