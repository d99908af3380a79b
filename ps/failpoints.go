package ps

import (
	"convoy/api"
	"convoy/failpoint"
)

// before passes the failpoints in front of an event. It is the shell's: the
// machine knows of no crash but the one that never lets it go on.
func (n *runner) before(ev Event) {
	switch ev := ev.(type) {
	case Again:
		failpoint.Pass(failpoint.BeforeApply)
	case Received:
		switch ev.Body.(type) {
		case *api.Envelope_Partial:
			failpoint.Pass(failpoint.BeforePartial)
		case *api.Envelope_Row:
			failpoint.Pass(failpoint.BeforeReceipt)
		}
	}
}

// taken passes those behind the machine's step, with its actions still to be
// carried out; held is the state before it.
func (n *runner) taken(ev Event, held int) {
	if n.held() > held {
		failpoint.Pass(failpoint.AfterApply)
	}
	if received, ok := ev.(Received); ok && received.GetPartial() != nil {
		failpoint.Pass(failpoint.AfterPartial)
	}
}

// told passes the one behind a step's actions.
func (n *runner) told(held int) {
	if n.held() > held && n.machine.lead == nil {
		failpoint.Pass(failpoint.AfterReceipt)
	}
}

// held is the step of the state that is held, 0 without one.
func (n *runner) held() int {
	if k := n.machine.Keeper(); k != nil {
		return k.Step()
	}
	return 0
}

// send publishes; a row closes a gradient.
func (n *runner) send(a Send) {
	row := a.Message.GetRow() != nil
	if row {
		failpoint.Pass(failpoint.BeforePublish)
	}
	n.r.publish(a.Subject, a.Message)
	if row {
		failpoint.Pass(failpoint.AfterPublish)
	}
}
