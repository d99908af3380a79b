package main

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Offsets in the struct transform of package kernels.
const (
	transformSrc = 8 * iota
	transformSrcRow
	transformSrcColumn
	transformDst
	transformDstRow
	transformDstColumn
	transformInit
	transformInitRow
	transformInitColumn
	transformTemp
	transformConstants
	transformGroups
	transformLow
)

// Offsets in the struct winogradConstants.
const (
	winogradAB2 = 4 * iota
	winogradSum
	winogradMinusA2
	winogradMinusB2
	winogradA
	winogradB
	winogradA2
	winogradB2
	winogradA3
	winogradB3
	winogradA4
	winogradB4
	winogradG0
	winogradGA
	winogradGB = winogradGA + 20
)

// transforms emits Winograd's transforms.
func transforms(w *writer) string {
	var table strings.Builder
	fmt.Fprintf(&table, "\nvar %sTransforms = [transformForms]func(t *transform){\n", w.name)
	emit := func(form string, in, out int, sequence func(k *transformKernel)) {
		f := w.kernel("transform"+strings.ToUpper(form[:1])+form[1:], "t *transform", func(a *asm) {
			k := &transformKernel{asm: a, in: in, out: out, sequence: sequence}
			k.constants = map[int]vec{}
			k.emit(form == "outputs2" || form == "outputs4")
		})
		fmt.Fprintf(&table, "\t%s: %s,\n", form, f)
	}
	emit("inputs6", 6, 6, (*transformKernel).inputs)
	for n := 2; n <= 5; n++ {
		emit(fmt.Sprintf("outputs%d", n), 6, n, (*transformKernel).outputs)
		emit(fmt.Sprintf("kernel%d", n), n, 6, (*transformKernel).kernel)
	}
	return table.String() + "}\n"
}

// A transformKernel is the registers of one transform. The sequence reads v and
// leaves its results in u, which are some of v and t; that of outputs leaves t[5]
// alone.
type transformKernel struct {
	*asm
	in, out   int
	sequence  func(k *transformKernel)
	v, t, u   []vec
	constants map[int]vec // those kept in registers, by offset
	table     ptr
	spare     vec

	// Where there are registers enough, what the first pass leaves stays in them,
	// by rows; stores are what bounds a transform.
	resident bool
	left     [6][]vec
}

func (k *transformKernel) emit(output bool) {
	k.v, k.t = k.take(k.in), k.take(6)
	k.u = make([]vec, 6)
	k.table = k.argument(transformConstants)
	temp, groups, offset := k.argument(transformTemp), k.argument(transformGroups), k.pointer()
	k.shiftLeft(groups, bits.TrailingZeros(uint(16/k.lanes)))
	k.move(offset, groups)
	k.sub(offset, groups)
	var low vec
	if k.vectors < 32 {
		k.spare = k.vector()
		low = k.spare
	} else {
		k.keepConstants()
	}
	if output && k.vectors == 32 {
		low = k.vector()
		k.broadcast(low, at(k.args, transformLow))
	}
	k.resident = k.vectors == 32 && k.in*k.out <= 18
	k.loop(groups, func() {
		k.columns(temp, offset)
		k.rows(temp, offset, output, low)
		k.addConst(offset, k.bytes())
	})
}

// keepConstants loads every constant that the sequence uses into a register.
func (k *transformKernel) keepConstants() {
	dry := *k
	dry.asm = newAsm(k.target, k.name)
	dry.sequence(&dry)
	for offset := 0; offset < winogradGB+20; offset += 4 {
		if _, used := dry.constants[offset]; used {
			v := k.vector()
			k.broadcast(v, at(k.table, offset))
			k.constants[offset] = v
		}
	}
}

// constant is a register with a constant in all lanes, until the next one.
func (k *transformKernel) constant(offset int) vec {
	if v, ok := k.constants[offset]; ok && k.vectors == 32 {
		return v
	}
	k.constants[offset] = k.spare
	k.broadcast(k.spare, at(k.table, offset))
	return k.spare
}

// columns is the first pass.
func (k *transformKernel) columns(temp, offset ptr) {
	src, row, column, p := k.argument(transformSrc), k.argument(transformSrcRow), k.argument(transformSrcColumn), k.pointer()
	k.add(src, offset)
	for j := range k.in {
		k.move(p, src)
		for i := range k.in {
			k.load(k.v[i], at(p, 0))
			if i < k.in-1 {
				k.add(p, row)
			}
		}
		k.sequence(k)
		for i := range k.out {
			if k.resident {
				k.left[i] = append(k.left[i], k.u[i])
			} else {
				k.store(k.u[i], at(temp, (i*k.in+j)*k.bytes()))
			}
		}
		if k.resident {
			if j < k.in-1 {
				k.renew(k.v)
			} else {
				k.releaseOthers(k.v)
			}
			k.renew(k.t)
		}
		if j < k.in-1 {
			k.add(src, column)
		}
	}
	k.free(src, row, column, p)
}

// renew replaces the registers that hold results.
func (k *transformKernel) renew(registers []vec) {
	for i, v := range registers {
		if slices.Contains(k.u[:k.out], v) {
			registers[i] = k.vector()
		}
	}
}

// releaseOthers gives back the registers that hold no results.
func (k *transformKernel) releaseOthers(registers []vec) {
	for _, v := range registers {
		if !slices.Contains(k.u[:k.out], v) {
			k.release(v)
		}
	}
}

// ahead is how far ahead the place of outputs is fetched: the machine does not
// see so many streams by itself.
const ahead = 128

// rows is the second pass.
func (k *transformKernel) rows(temp, offset ptr, output bool, low vec) {
	dst, row, column, p := k.argument(transformDst), k.argument(transformDstRow), k.argument(transformDstColumn), k.pointer()
	k.add(dst, offset)
	for i := range k.out {
		for j := range k.in {
			if k.resident {
				k.v[j] = k.left[i][j]
			} else {
				k.load(k.v[j], at(temp, (i*k.in+j)*k.bytes()))
			}
		}
		k.sequence(k)
		if output {
			k.init(i, offset, p)
			if k.vectors < 32 {
				k.broadcast(low, at(k.args, transformLow))
			}
		}
		k.move(p, dst)
		for j := range k.out {
			if output {
				k.atLeast(k.u[j], low, k.t[5])
			}
			k.store(k.u[j], at(p, 0))
			if output {
				k.prefetch(at(p, ahead))
			}
			if j < k.out-1 {
				k.add(p, column)
			}
		}
		if i < k.out-1 {
			k.add(dst, row)
		}
	}
	k.free(dst, row, column, p)
}

// init adds row i of what is to be added, if there is any.
func (k *transformKernel) init(i int, offset, p ptr) {
	none := k.label()
	k.loadPointer(p, k.args, transformInit)
	k.jumpIfZero(p, none)
	k.add(p, offset)
	step := k.argument(transformInitRow)
	for range i {
		k.add(p, step)
	}
	k.loadPointer(step, k.args, transformInitColumn)
	for j := range k.out {
		k.addMem(k.u[j], k.u[j], at(p, 0), k.t[5])
		if j < k.out-1 {
			k.add(p, step)
		}
	}
	k.free(step)
	k.place(none)
}

// inputs is inputSequence of package kernels.
func (k *transformKernel) inputs() {
	d, t := k.v, k.t
	k.copy(t[0], d[4])
	k.copy(t[5], d[5])
	c := k.constant(winogradSum)
	k.fma(t[0], d[2], c)
	k.fma(t[5], d[3], c)
	c = k.constant(winogradAB2)
	k.fma(t[0], d[0], c)
	k.fma(t[5], d[1], c)
	k.copy(t[1], d[4])
	k.copy(t[2], d[3])
	c = k.constant(winogradMinusB2)
	k.fma(t[1], d[2], c)
	k.fma(t[2], d[1], c)
	k.mulv(t[2], t[2], k.constant(winogradA))
	c = k.constant(winogradMinusA2)
	k.fma(d[4], d[2], c)
	k.fma(d[3], d[1], c)
	k.mulv(d[3], d[3], k.constant(winogradB))
	k.addv(t[3], d[4], d[3])
	k.subv(t[4], d[4], d[3])
	k.subv(d[0], t[1], t[2])
	k.addv(t[1], t[1], t[2])
	copy(k.u, []vec{t[0], t[1], d[0], t[3], t[4], t[5]})
}

// outputs is outputSequence.
func (k *transformKernel) outputs() {
	d, t := k.v, k.t
	even, odd := [2]vec{t[0], t[2]}, [2]vec{t[1], t[3]} // of a and b
	for i := range 2 {
		k.addv(even[i], d[1+2*i], d[2+2*i])
		k.subv(odd[i], d[1+2*i], d[2+2*i])
	}
	k.addv(d[0], d[0], even[0])
	k.addv(d[0], d[0], even[1])
	k.u[0] = d[0]
	for i := 1; i < k.out; i++ {
		from := odd
		if i%2 == 0 {
			from = even
		}
		power := 8 * (i - 1)
		k.mulv(d[i], from[0], k.constant(winogradA+power))
		k.fma(d[i], from[1], k.constant(winogradB+power))
		k.u[i] = d[i]
	}
	k.addv(d[k.out-1], d[k.out-1], d[5])
}

// kernel is kernelSequence.
func (k *transformKernel) kernel() {
	d, t := k.v, k.t
	k.mulv(t[0], d[0], k.constant(winogradG0))
	k.u[0] = t[0]
	results := [][2]vec{{t[1], t[2]}, {t[3], t[4]}}
	for p, table := range []int{winogradGA, winogradGB} {
		even, odd := results[p][0], t[5]
		k.mulv(even, d[0], k.constant(table))
		k.mulv(odd, d[1], k.constant(table+4))
		for i := 2; i < k.in; i++ {
			sum := even
			if i%2 == 1 {
				sum = odd
			}
			k.fma(sum, d[i], k.constant(table+4*i))
		}
		k.subv(results[p][1], even, odd)
		k.addv(even, even, odd)
		k.u[2*p+1], k.u[2*p+2] = even, results[p][1]
	}
	k.u[5] = d[k.in-1]
}
