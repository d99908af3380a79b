// Package failpoint ends the process at a named point of its code, as if the
// power had gone: a way to try each instant at which a crash could matter.
//
// The environment variable CONVOY_FAILPOINT names the point, and may say how
// often it is passed before that: CONVOY_FAILPOINT=before-rename or
// before-rename:3. Without it a point costs one atomic load. Points stand in the
// shells, never in what decides. The idea is that of FreeBSD's fail(9).
package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Variable is the environment variable that arms a point.
const Variable = "CONVOY_FAILPOINT"

// Point is a place in the code.
type Point string

// The points of a coordinator.
const (
	BeforePartial  Point = "before-partial"  // a partial has arrived
	AfterPartial   Point = "after-partial"   // and the leader has taken it
	BeforePublish  Point = "before-publish"  // the leader has all chunks of a gradient out, but not its row
	AfterPublish   Point = "after-publish"   // and now the row
	BeforeReceipt  Point = "before-receipt"  // a gradient's row has arrived
	AfterReceipt   Point = "after-receipt"   // a follower has told the leader that it holds it
	BeforeApply    Point = "before-apply"    // the leader has published a gradient and not applied it
	AfterApply     Point = "after-apply"     // the state is the next one, and nobody knows
	BeforeProposal Point = "before-proposal" // an entry is about to be handed to Raft
	AfterProposal  Point = "after-proposal"  // it has been applied here
	BeforeCommit   Point = "before-commit"   // Raft has committed an entry
	AfterCommit    Point = "after-commit"    // the control state has taken it
	BeforeWrite    Point = "before-write"    // a checkpoint's file is about to be made
	DuringWrite    Point = "during-write"    // half of it is in the file
	BeforeRename   Point = "before-rename"   // it is on disk under its temporary name
	AfterRename    Point = "after-rename"    // it has its name, which is not yet safe
)

// The points of a worker.
const (
	WorkerBeforePartial Point = "worker-before-partial" // a chunk of a partial is about to be sent
	WorkerAfterPartial  Point = "worker-after-partial"  // a chunk of it is sent
	WorkerBeforeApply   Point = "worker-before-apply"   // a gradient's row has arrived
	WorkerAfterApply    Point = "worker-after-apply"    // and has been taken
)

// Coordinators are the points that a coordinator passes.
var Coordinators = []Point{
	BeforePartial, AfterPartial, BeforePublish, AfterPublish, BeforeReceipt, AfterReceipt, BeforeApply, AfterApply,
	BeforeProposal, AfterProposal, BeforeCommit, AfterCommit, BeforeWrite, DuringWrite, BeforeRename, AfterRename,
}

// Workers are the points that a worker passes.
var Workers = []Point{WorkerBeforePartial, WorkerAfterPartial, WorkerBeforeApply, WorkerAfterApply}

// armed is the point at which this process ends, nil for none.
var armed atomic.Pointer[armament]

type armament struct {
	point Point
	left  atomic.Int64 // passes to go
}

// Arm reads the environment variable's value. It returns an error that names what
// there is where the value means nothing.
func Arm(value string) error {
	if value == "" {
		armed.Store(nil)
		return nil
	}
	name, count, counted := strings.Cut(value, ":")
	n := 1
	var err error
	if counted {
		n, err = strconv.Atoi(count)
	}
	all := slices.Concat(Coordinators, Workers)
	if err != nil || n < 1 || !slices.Contains(all, Point(name)) {
		return fmt.Errorf("%s=%s: want one of %v, and :2 behind it for the second time that it is passed", Variable, value, all)
	}
	a := &armament{point: Point(name)}
	a.left.Store(int64(n))
	armed.Store(a)
	return nil
}

// Pass ends the process if it is armed for this point and has passed it often
// enough.
func Pass(p Point) {
	if a := armed.Load(); a != nil && a.point == p && a.left.Add(-1) == 0 {
		die()
	}
}

// die ends the process so that nothing of it runs any more, not even what is
// deferred.
func die() {
	_, _ = fmt.Fprintf(os.Stderr, "failpoint %s: killed\n", armed.Load().point) // for whoever reads the log
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)                              // a process may always do so
	select {}                                                                   // the signal may take a moment
}
