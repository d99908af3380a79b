package kernels

// reserve makes room for n floats for each thread; whoever calls run does it
// before, so that which thread takes which task does not decide when memory
// grows. It grows to the largest operation seen and stays.
func (p *Pool) reserve(n int) {
	for i := range p.scratch {
		p.scratch[i] = grow(p.scratch[i], n)
	}
}

// space returns n floats, at most as many as reserved, that belong to a thread
// while it does a task; what is in them is of an earlier task.
func (p *Pool) space(thread, n int) []float32 { return p.scratch[thread][:n] }

// operations holds the jobs of the functions that have no plan of their own, so
// that starting one allocates nothing.
type operations struct {
	elements      elementsJob
	copies        copyJob
	transposition transposition
	pooling       poolingJob
	normalise     lrnJob
	dropout       dropoutJob
	update        updateJob
	losses        lossJob
	rbf           rbfJob
	affine        affineJob
}

// parts returns into how many parts a task is to be cut when there are tasks of
// them, so that no thread stays idle; at most limit.
func (p *Pool) parts(tasks, limit int) int {
	if tasks >= 2*p.threads {
		return 1
	}
	return min(limit, (2*p.threads+tasks-1)/tasks)
}

// A local is what a thread's tasks pass by address to micro-kernels; on a
// goroutine's stack it would escape and be allocated.
type local struct {
	tile      tile
	block     block
	weights   weightBlock
	pointwise pointwiseBlock
	transform transform
	rows      rows
	lanes     laneThread
	matrices  matrices
	tree      treeTile
	gather    panelGather
	_         [alignment]byte // no cache line belongs to two threads
}
