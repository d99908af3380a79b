// Package kernels is the arithmetic of convolutional networks on float32: all
// three directions of convolution and fully connected layers, pooling,
// activations, normalisation, dropout, the loss and the update. Feature maps are
// NHWC (Maps); in front of a network with few channels, 16 images lie in the lanes
// of the vectors (Lanes). Weights are taken and their gradients given in PyTorch's
// order.
//
// It promises the same bits for the same arguments on every CPU and for any number
// of goroutines:
//
//   - goroutines split outputs, never sums, and the lanes of a vector run over
//     outputs;
//   - a sum is taken in an order that follows from the geometry of one example. It
//     is an FMA chain that starts at +0 and is cut after at most 256 products; the
//     pieces are added in order. One uncut chain has several times the rounding
//     error (Higham, "Accuracy and Stability of Numerical Algorithms", 2002,
//     chapter 4);
//   - gradients of weights start anew at each micro-batch, and micro-batches are
//     added in the fixed tree of package tree;
//   - which algorithm computes a layer (Convolution.Algorithm) follows from the
//     geometry of one example as well.
//
// The inner loops are generated assembly for AVX-512, AVX2 and NEON
// (internal/gen), beside a generic version in Go with an exact FMA that is the
// reference of all; CONVOY_KERNELS forces one by its name, and the tag purego
// leaves the assembly out. The products of matrices are tiles of sums kept in
// registers, as in Goto and van de Geijn, "Anatomy of high-performance matrix
// multiplication", 2008; that convolution needs no im2col matrix when channels are
// innermost is Dukhan's ("The Indirect Convolution Algorithm", 2019) and oneDNN's.
//
// The doc comment of an operation is the loop that it computes. Lengths that do not
// fit are a programmer's error: the functions panic and name the numbers.
package kernels

//go:generate go run ./internal/gen
