package kernels

import "unsafe"

// exampleSums adds up sums over micro-batches, which come in float64, in float32
// as tree.Sum does; in the end the root is the stack's first width values.
type exampleSums struct {
	order treeOrder
	stack []float32 // width times stackDepth
	width int
	top   int // sums on the stack
}

// push takes the sums of the next micro-batch, if it has examples.
func (s *exampleSums) push(sums []float64, present bool) {
	if present {
		to := s.at(s.top)
		for i, v := range sums {
			to[i] = float32(v)
		}
		s.top++
	}
	for range s.order.after(present) {
		s.top--
		to := s.at(s.top - 1)
		for i, v := range s.at(s.top) {
			to[i] += v
		}
	}
}

func (s *exampleSums) at(i int) []float32 { return s.stack[i*s.width:][:s.width] }

// doubles is the memory of v, whose length is even, as float64.
func doubles(v []float32) []float64 {
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(v))), len(v)/2)
}
