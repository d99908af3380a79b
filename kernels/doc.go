// Package kernels is the arithmetic of convolutional networks on float32: the
// forward pass and both gradients of convolution and fully connected layers,
// pooling, activations and the loss. Tensors are dense, row-major, NCHW.
//
// It promises the same bits for the same arguments on every CPU and for any
// number of goroutines:
//
//   - goroutines split outputs, never sums;
//   - a sum is taken in an order that follows from the geometry of one example.
//     It is a chain of products (each rounded to float32 before it is added,
//     never fused) that starts at +0 and is cut after at most 256 of them; the
//     pieces are added in order. One uncut chain has several times the rounding
//     error (Higham, "Accuracy and Stability of Numerical Algorithms", 2002,
//     chapter 4);
//   - gradients of weights start anew at each micro-batch, and micro-batches are
//     added in the fixed tree of package tree.
//
// The doc comment of an operation is the loop that it computes. Convolution and
// fully connected layers have that loop as their reference, and a fast path that
// gives the same bits: one register-blocked inner loop over products at tabulated
// offsets, the indirect convolution of Dukhan ("The Indirect Convolution
// Algorithm", 2019). There is no im2col matrix, and any stride, padding and
// direction is only another table.
//
// Lengths that do not fit are a programmer's error: the functions panic and name
// the numbers.
package kernels

//go:generate go run ./internal/gen
