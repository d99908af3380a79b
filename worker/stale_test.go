package worker

import (
	"errors"
	"testing"

	"convoy/api"
)

// TestALateFailureToJoinIsNoProblem: a job that was left and joined again is
// joined, whatever becomes of the first attempt. The problem would stand in every
// hello, and no leader would give the worker blocks any more.
func TestALateFailureToJoinIsNoProblem(t *testing.T) {
	d := newDriver(t, 0)
	k := leaderKeeper(2)
	idle := plan(1, 0, 0, 0)
	idle.Job = ""
	d.step(plan(1, 1, 0, 2), idle)
	if joins := asked[Join](d.step(plan(1, 2, 0, 2))); len(joins) != 1 {
		t.Fatalf("%d joins, want another one", len(joins))
	}
	d.step(Joined{ID: testID, Job: k.Job()}, FetchedState{Job: testID, Copy: k.Copy()})
	d.step(Joined{ID: testID, Err: errors.New("no replica has it")})
	d.now += helloEvery
	var hellos []*api.Hello
	for _, s := range asked[Send](d.step(Tick{})) {
		if h := s.Message.GetHello(); h != nil {
			hellos = append(hellos, h)
		}
	}
	if len(hellos) != 1 || hellos[0].Problem != "" || !hellos[0].Ready {
		t.Errorf("it says %v, want that it is ready and well", hellos)
	}
}

// TestResultsOfAnotherStateAreForgotten: what a worker computed on a state that
// turns out to be another than the leader's is not sent as computed on the
// leader's, although the step is the same.
func TestResultsOfAnotherStateAreForgotten(t *testing.T) {
	other := leaderKeeper(2)
	strange := other.Copy()
	strange.Chain[0]++
	d := newDriver(t, 0)
	d.step(plan(1, 1, 0, 2), Joined{ID: testID, Job: other.Job()}, FetchedState{Job: testID, Copy: strange})
	if sent := partials(d.step(computed(2, 0, 2), Idle{})); len(sent) != 1 {
		t.Fatalf("%d partials, want one of the first state", len(sent))
	}
	if fetches := asked[FetchState](d.step(head(other))); len(fetches) != 1 {
		t.Fatalf("%d states fetched, want the leader's", len(fetches))
	}
	d.step(FetchedState{Job: testID, Copy: other.Copy()})
	if sent := partials(d.got); len(sent) != 0 {
		t.Errorf("partials of the state before are sent again: %v", sent)
	}
	if work := asked[Compute](d.got); len(work) != 1 || len(work[0].Nodes) != 1 {
		t.Errorf("it computes %v, want the node again", work)
	}
}
