package kernels

import (
	"fmt"
	"os"
	"strings"
)

// An isa is one implementation of the inner loops. All give the same bits; they
// differ in speed and in the size of the blocks they like.
type isa struct {
	name string
	// rows and cols are the largest tile; cols, 16 or 32, is how wide a panel of
	// weights is.
	rows, cols int
	// tileRows and tileColumns are the micro-kernels of both forms by columns/16
	// and rows.
	tileRows, tileColumns [3][maxRows + 1]micro
	vectors
	peak peakLoops
}

// maxRows is the number of rows of the largest tile of any isa.
const maxRows = 14

// generic is the reference: exact, the same bits, and slow.
var generic = newGeneric()

func newGeneric() *isa {
	g := &isa{name: "generic", rows: 6, cols: 32, vectors: genericVectors, peak: genericPeak}
	for nv := 1; nv <= 2; nv++ {
		for rows := 1; rows <= maxRows; rows++ {
			g.tileRows[nv][rows] = func(t *tile) { genericRows(t, rows, 16*nv) }
			g.tileColumns[nv][rows] = func(t *tile) { genericColumns(t, rows, 16*nv) }
		}
	}
	return g
}

// implementations are those that this machine can run, the fastest first; the
// last is generic.
var implementations = append(machineImplementations(), generic)

// Variable is the environment variable that forces an implementation by its name.
const Variable = "CONVOY_KERNELS"

// active is the implementation in use; tests change it.
var active = choose(os.Getenv(Variable))

func choose(name string) *isa {
	if name == "" {
		return implementations[0]
	}
	var names []string
	for _, i := range implementations {
		if i.name == name {
			return i
		}
		names = append(names, i.name)
	}
	panic(fmt.Sprintf("kernels: %s=%s: this machine has %s", Variable, name, strings.Join(names, ", ")))
}

// Implementation names the inner loops in use: avx512, avx2, neon or generic.
func Implementation() string { return active.name }
