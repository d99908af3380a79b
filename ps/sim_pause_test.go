package ps

import (
	"convoy/api"
	"convoy/bus"
)

// decided holds an entry that a replica has applied against what was decided
// before: a job that has ended or is paused takes no more steps, and one is paused
// with its last step on a majority's disks, so that going on computes nothing
// again.
func (v *invariants) decided(r *simReplica, c change) {
	j := r.fsm.state.Jobs[0]
	if len(c.rows) > 0 && !running(j.Phase) {
		v.w.violated("I1: %s takes %d steps into a job that is %v", r.id, len(c.rows), j.Phase)
	}
	if j.Phase == api.Phase_PHASE_PAUSED && j.Committed > 0 && len(v.written[j.Committed]) <= len(v.w.replicas)/2 {
		v.w.violated("pause: the job rests at step %d with the checkpoint on %d disks", j.Committed, len(v.written[j.Committed]))
	}
}

// wrote notes a checkpoint that reached a disk; what becomes of it is another
// matter.
func (v *invariants) wrote(r *simReplica, step int) {
	if v.written == nil {
		v.written = map[uint64]map[string]bool{}
	}
	if v.written[uint64(step)] == nil {
		v.written[uint64(step)] = map[string]bool{}
	}
	v.written[uint64(step)][r.id] = true
}

// rests: a leader that knows that the job is to be paused publishes nothing new;
// what is out already may still be on its way.
func (v *invariants) rests(r *simReplica, m bus.Message) {
	record, k := r.machine.record, r.machine.Keeper()
	if row := m.GetRow(); row != nil && record.Phase == api.Phase_PHASE_PAUSING && row.Step == uint64(k.Step()) && row.Step >= record.Committed {
		v.w.violated("pause: %s publishes step %d of a job that is pausing with %d committed", r.id, row.Step, record.Committed)
	}
}
