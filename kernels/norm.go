package kernels

// SumOfSquares returns Σ x[i]² in float64, where each square is exact, on the
// caller's goroutine. Element i is added to sum i mod 8, in order, and the eight
// are added as ((0+1)+(2+3)) + ((4+5)+(6+7)).
func SumOfSquares(x []float32) float64 {
	var s0, s1, s2, s3, s4, s5, s6, s7 float64
	var tail [8]float32 // its zeros change no sum
	copy(tail[:], x[len(x)&^7:])
	for i := 0; i <= len(x); i += 8 {
		v := &tail
		if i+8 <= len(x) {
			v = (*[8]float32)(x[i:])
		}
		s0 += squared(v[0])
		s1 += squared(v[1])
		s2 += squared(v[2])
		s3 += squared(v[3])
		s4 += squared(v[4])
		s5 += squared(v[5])
		s6 += squared(v[6])
		s7 += squared(v[7])
	}
	return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
}

func squared(v float32) float64 { return float64(float64(v) * float64(v)) }
