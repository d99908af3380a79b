package ps

import (
	"context"
	"fmt"
)

// Fresh returns nil once a majority has confirmed, after the call, that this
// replica leads: what it has applied by then holds every entry whose proposer
// had an answer before the call, so that what is read from it now is
// linearizable. (Ongaro's thesis, 6.4: a leader reads without the log once it
// has committed an entry of its term and heard from a majority since the read
// came in.) A leader that was cut off or stopped for a while, and does not know
// yet that another one leads, gets an error.
func (r *Replica) Fresh(ctx context.Context) error {
	role := r.leading.Load()
	if !role.leading {
		return ErrNotLeader
	}
	_, answered, err := ask(r, r.raft.VerifyLeader)
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
