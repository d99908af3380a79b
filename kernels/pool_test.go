package kernels

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"convoy/internal/allocs"
)

func TestPoolRunsEachTaskOnce(t *testing.T) {
	for _, threads := range threadCounts {
		p := newPool(t, threads)
		if p.Threads() != threads {
			t.Errorf("Threads() = %d, want %d", p.Threads(), threads)
		}
		for _, tasks := range []int{0, 1, 2, 3, 17, 1000} {
			ran := make([]atomic.Int32, tasks)
			p.Run(tasks, func(i int) { ran[i].Add(1) })
			for i := range ran {
				if n := ran[i].Load(); n != 1 {
					t.Errorf("%d threads: task %d of %d ran %d times", threads, i, tasks, n)
				}
			}
		}
	}
}

// Many short runs meet helpers in every state: looking, entering, parking.
func TestPoolManyRuns(t *testing.T) {
	p := newPool(t, 3)
	var sum atomic.Int64
	for i := range 3000 {
		p.Run(i%5, func(task int) { sum.Add(int64(task)) })
	}
	if want := int64(600 * (0 + 0 + 1 + 3 + 6)); sum.Load() != want {
		t.Errorf("sum of tasks %d, want %d", sum.Load(), want)
	}
}

// Helpers take part: tasks that wait for each other end.
func TestPoolThreadsWorkTogether(t *testing.T) {
	p := newPool(t, 4)
	for range 20 {
		var all sync.WaitGroup
		all.Add(4)
		p.Run(4, func(int) { all.Done(); all.Wait() })
	}
}

func TestPoolPanic(t *testing.T) {
	for _, threads := range threadCounts {
		for _, bad := range []int{0, 1, 49} {
			t.Run(fmt.Sprintf("%d threads, task %d", threads, bad), func(t *testing.T) {
				p := newPool(t, threads)
				got := func() (v any) {
					defer func() { v = recover() }()
					p.Run(50, func(i int) {
						if i == bad {
							panic("broken")
						}
					})
					return nil
				}()
				if got != "broken" {
					t.Errorf("recovered %v, want broken", got)
				}
				var n atomic.Int32
				p.Run(10, func(int) { n.Add(1) })
				if n.Load() != 10 {
					t.Errorf("%d tasks after a panic, want 10", n.Load())
				}
			})
		}
	}
}

func TestPoolServesOneCaller(t *testing.T) {
	p := newPool(t, 1)
	mustPanic(t, "nested run", func() { p.Run(1, func(int) { p.Run(1, func(int) {}) }) })
	mustPanic(t, "no thread", func() { NewPool(0) })
}

func TestRunAllocatesNothing(t *testing.T) {
	for _, threads := range []int{1, 2} {
		p := newPool(t, threads)
		f := func(int) {}
		if n := allocs.Steady(func() { p.Run(9, f) }); n != 0 {
			t.Errorf("%d threads: %v allocations in Run", threads, n)
		}
	}
}

func BenchmarkPoolRun(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			p := newPool(b, threads)
			f := func(int) {}
			for b.Loop() {
				p.Run(2*threads, f)
			}
		})
	}
}
