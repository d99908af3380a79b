package ps

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// freshWithin is how long a question may wait to get into the log.
const freshWithin = 5 * time.Second

// Fresh returns nil once a majority has taken an entry of this leader after the
// call, and it has applied the log up to there: what is read from it now is
// linearizable. A leader that was cut off or stopped for a while, and does not know
// yet that another one leads, gets an error.
//
// The entry is what makes it sure (Ongaro's thesis, 6.4, has the cheaper way, to
// hear from a majority since the read came in). Raft's VerifyLeader also counts
// answers to what was sent before the call: those that lay unread while the process
// was stopped confirmed a leader that was deposed meanwhile.
func (r *Replica) Fresh(ctx context.Context) error {
	role := r.leading.Load()
	if !role.leading {
		return ErrNotLeader
	}
	_, answered, err := ask(r, func() raft.Future { return r.raft.Barrier(freshWithin) })
	if err != nil {
		return err
	}
	select {
	case err := <-answered:
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotLeader, err)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.raft.CurrentTerm() != role.term { // it leads again, and may not have applied what was decided meanwhile
		return fmt.Errorf("%w in term %d any more", ErrNotLeader, role.term)
	}
	return nil
}
