package kernels

import (
	"math"
	"unsafe"
)

// A tile is one call of a micro-kernel: for each row r and column j of a block of
// rows × 16 or 32 columns,
//
//	sum     = Σ A[r][k] · B[k][j], one FMA chain from +0 over the segments and k in each
//	C[r][j] = max(low, init[r][j] + sum)      (init + sum is left out where init is nil)
//
// where max(low, v) is low if low > v, else v. There are two forms. In rows, row
// r of A begins aRow bytes after row r−1 and its k are contiguous. In columns, the
// rows of one k are contiguous, and k is aStep bytes after k−1. Columns of B, C
// and init are contiguous; k of B is bStep bytes after k−1. After each segment of
// k products A's pointer, which stands behind the last k, moves on by aSeg bytes,
// and B's by bSeg. Steps are in bytes; only the pointers of the micro-kernel's
// own loads may be formed outside of a slice.
//
// The layout of the struct is known to internal/gen.
type tile struct {
	a       unsafe.Pointer
	aRow    uintptr // rows: from one row of A to the next
	aStep   uintptr // columns: from one k of A to the next
	aSeg    uintptr
	b       unsafe.Pointer
	bStep   uintptr
	bSeg    uintptr
	c       unsafe.Pointer
	cRow    uintptr
	init    unsafe.Pointer // nil for none; may be c, to add to it, or the bias, with an initRow of 0
	initRow uintptr
	k       uintptr // products of a segment, at least 1
	segs    uintptr // at least 1
	low     float32 // 0 for ReLU, noLow for none
	_       float32
	ahead   uintptr // rows: what to prefetch for a later call, in bytes from where A is read
}

// noLow is a tile's low that changes nothing.
var noLow = float32(math.Inf(-1))

// A micro is a micro-kernel for one number of rows and of columns.
type micro func(t *tile)

// element is where float32 i after p is.
func element(p unsafe.Pointer, bytes uintptr, i int) *float32 {
	return (*float32)(unsafe.Add(p, int(bytes)+4*i))
}

// genericRows and genericColumns are the micro-kernels of both forms for any
// number of rows and columns.
func genericRows(t *tile, rows, cols int) { genericTile(t, rows, cols, t.aRow, 4) }

func genericColumns(t *tile, rows, cols int) { genericTile(t, rows, cols, 4, t.aStep) }

func genericTile(t *tile, rows, cols int, aRow, aStep uintptr) {
	for r := range rows {
		for j := range cols {
			var sum float32
			a, b := uintptr(r)*aRow, uintptr(0)
			for range t.segs {
				for range t.k {
					sum = fma(*element(t.a, a, 0), *element(t.b, b, j), sum)
					a += aStep
					b += t.bStep
				}
				a += t.aSeg
				b += t.bSeg
			}
			if t.init != nil {
				sum = *element(t.init, uintptr(r)*t.initRow, j) + sum
			}
			if t.low > sum {
				sum = t.low
			}
			*element(t.c, uintptr(r)*t.cRow, j) = sum
		}
	}
}
