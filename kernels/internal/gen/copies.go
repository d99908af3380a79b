package main

import "fmt"

// Offsets in the struct transposed of package kernels.
const (
	transposedPlanes = 8 * iota
	transposedPlaneStep
	transposedMaps
	transposedPixelStep
	transposedChannels
	transposedPixels
)

// copies emits the loops between planes and maps, by squares of 4×4, which every
// target transposes in registers of four floats.
func copies(w *writer) string {
	to := w.kernel("planesToMaps", "a *transposed", func(a *asm) { transposeMaps(a, true) })
	from := w.kernel("mapsToPlanes", "a *transposed", func(a *asm) { transposeMaps(a, false) })
	return fmt.Sprintf("\nvar %sCopies = copyVectors{%s, %s}\n", w.name, to, from)
}

func transposeMaps(a *asm, toMaps bool) {
	planes, maps := a.argument(transposedPlanes), a.argument(transposedMaps)
	planeStep, pixelStep := a.argument(transposedPlaneStep), a.argument(transposedPixelStep)
	plane, pixel, p, count := a.pointer(), a.pointer(), a.pointer(), a.pointer()
	square := a.take(4)
	// side moves the square's rows between registers and memory: f at m, m+step …
	side := func(m, step ptr, f func(v vec, m mem)) {
		a.move(p, m)
		for i, v := range square {
			f(v, at(p, 0))
			if i < 3 {
				a.add(p, step)
			}
		}
	}
	a.loop(a.argument(transposedChannels), func() {
		a.move(plane, planes)
		a.move(pixel, maps)
		a.loadPointer(count, a.args, transposedPixels)
		a.loop(count, func() {
			if toMaps {
				side(plane, planeStep, a.load4)
				a.transpose4(square)
				side(pixel, pixelStep, a.store4)
			} else {
				side(pixel, pixelStep, a.load4)
				a.transpose4(square)
				side(plane, planeStep, a.store4)
			}
			a.addConst(plane, 16)
			for range 4 {
				a.add(pixel, pixelStep)
			}
		})
		for range 4 {
			a.add(planes, planeStep)
		}
		a.addConst(maps, 16)
	})
}

// load4 and store4 move four floats.
func (a *asm) load4(v vec, m mem) {
	if a.arm() {
		a.load(v, m)
	} else {
		a.line("VMOVUPS %v, X%d", m, v)
	}
}

func (a *asm) store4(v vec, m mem) {
	if a.arm() {
		a.store(v, m)
	} else {
		a.line("VMOVUPS X%d, %v", v, m)
	}
}

// transpose4 transposes the square of four floats in each of four registers.
func (a *asm) transpose4(v []vec) {
	t := a.take(4)
	defer a.release(t...)
	for i := range 2 {
		x, y, low, high := v[2*i], v[2*i+1], t[2*i], t[2*i+1]
		if a.arm() {
			a.line("VZIP1 V%d.S4, V%d.S4, V%d.S4", y, x, low)
			a.line("VZIP2 V%d.S4, V%d.S4, V%d.S4", y, x, high)
		} else {
			a.line("VUNPCKLPS X%d, X%d, X%d", y, x, low)
			a.line("VUNPCKHPS X%d, X%d, X%d", y, x, high)
		}
	}
	for i := range 2 {
		x, y := t[i], t[2+i] // halves of rows 2i and 2i+1
		if a.arm() {
			a.line("VZIP1 V%d.D2, V%d.D2, V%d.D2", y, x, v[2*i])
			a.line("VZIP2 V%d.D2, V%d.D2, V%d.D2", y, x, v[2*i+1])
		} else {
			a.line("VMOVLHPS X%d, X%d, X%d", y, x, v[2*i])
			a.line("VMOVHLPS X%d, X%d, X%d", x, y, v[2*i+1])
		}
	}
}
