package kernels

// scratch is the memory of one thread of a pool; it grows to the largest
// operation seen and stays.
type scratch struct{}

// operations holds a pool's jobs, so that starting one allocates nothing.
type operations struct{}
