package kernels

import "math"

// Until package fmath has them.
func exp(x float64) float64     { return math.Exp(x) }
func log(x float64) float64     { return math.Log(x) }
func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }
