package state

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/floats"
)

// fakeReplica streams what it was given.
type fakeReplica struct {
	api.ReplicasClient
	states    []*api.StatePiece
	gradients []*api.GradientPiece
	end       error // after the pieces; nil: io.EOF
}

type fakeStream[T any] struct {
	grpc.ClientStream
	pieces []*T
	end    error
}

func (s *fakeStream[T]) Recv() (*T, error) {
	if len(s.pieces) == 0 {
		if s.end != nil {
			return nil, s.end
		}
		return nil, io.EOF
	}
	p := s.pieces[0]
	s.pieces = s.pieces[1:]
	return p, nil
}

func (f *fakeReplica) FetchState(context.Context, *api.FetchStateRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[api.StatePiece], error) {
	return &fakeStream[api.StatePiece]{pieces: f.states, end: f.end}, nil
}

func (f *fakeReplica) FetchGradient(context.Context, *api.FetchGradientRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[api.GradientPiece], error) {
	return &fakeStream[api.GradientPiece]{pieces: f.gradients, end: f.end}, nil
}

// sent are the pieces of a keeper's state, as they arrive.
func sent(t *testing.T, k *Keeper) []*api.StatePiece {
	t.Helper()
	var pieces []*api.StatePiece
	if err := k.Copy().Send(func(p *api.StatePiece) error { pieces = append(pieces, proto.CloneOf(p)); return nil }); err != nil {
		t.Fatal(err)
	}
	return pieces
}

func TestStateIsFetched(t *testing.T) {
	k := keeperAt(t, 3)
	k.Committed(1)
	c, err := FetchState(t.Context(), &fakeReplica{states: sent(t, k)}, "job-1", k.Blank())
	if err != nil {
		t.Fatal(err)
	}
	if c.Step != 3 || c.Chain != k.Chain() || c.State.Digest() != k.State().Digest() || len(c.Rows) != 2 || c.Rows[0].Step != 1 {
		t.Errorf("fetched %+v", c)
	}
	c.State.Params[0]++
	c.Rows[0].Step = 77
	if k.State().Params[0] == c.State.Params[0] || k.Rows()[0].Step == 77 {
		t.Error("the copy shares memory with the state")
	}
}

func TestDamagedStatesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *fakeReplica)
		want   string
	}{
		"nothing":          {func(f *fakeReplica) { f.states = nil }, "missing"},
		"truncated":        {func(f *fakeReplica) { f.states = f.states[:1] }, "missing"},
		"broken off":       {func(f *fakeReplica) { f.end = errors.New("connection reset") }, "connection reset"},
		"a flipped bit":    {func(f *fakeReplica) { f.states[0].Data[0] ^= 1 }, "digest"},
		"half a float":     {func(f *fakeReplica) { f.states[0].Data = f.states[0].Data[:5] }, "5 bytes"},
		"a piece twice":    {func(f *fakeReplica) { f.states[1] = f.states[0] }, "digest"},
		"misplaced":        {func(f *fakeReplica) { f.states[1].First = 1 }, "do not fit"},
		"far out":          {func(f *fakeReplica) { f.states[1].First = 1 << 63 }, "do not fit"},
		"a vector more":    {func(f *fakeReplica) { f.states[1].Vector = 2 }, "do not fit"},
		"another model":    {func(f *fakeReplica) { f.states[0].Data = append(f.states[0].Data, 0, 0, 0, 0) }, "do not fit"},
		"a malformed head": {func(f *fakeReplica) { f.states[0].Chain = f.states[0].Chain[:8] }, "digest"},
	} {
		k := keeperAt(t, 3)
		f := &fakeReplica{states: sent(t, k)}
		c.change(f)
		if got, err := FetchState(t.Context(), f, "job-1", k.Blank()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want an error with %q", name, got, err, c.want)
		}
	}
}

// sentGradient are the pieces of a gradient of two messages and a bit.
func sentGradient(t *testing.T) (*Gradient, []*api.GradientPiece) {
	t.Helper()
	g := &Gradient{Row: &api.StepRow{Step: 7}, Data: make([]float32, 2*pieceFloats+5)}
	for i := range g.Data {
		g.Data[i] = float32(i)
	}
	var pieces []*api.GradientPiece
	if err := g.Send(func(p *api.GradientPiece) error { pieces = append(pieces, proto.CloneOf(p)); return nil }); err != nil {
		t.Fatal(err)
	}
	return g, pieces
}

func TestGradientIsFetched(t *testing.T) {
	want, pieces := sentGradient(t)
	g, err := FetchGradient(t.Context(), &fakeReplica{gradients: pieces}, "job-1", 7)
	if err != nil || !slices.Equal(g.Data, want.Data) || g.Row.Step != 7 {
		t.Errorf("%d floats, row %v, %v", len(g.Data), g.Row, err)
	}
	evaluation := []*api.GradientPiece{{Row: &api.StepRow{Step: 7}}}
	if g, err := FetchGradient(t.Context(), &fakeReplica{gradients: evaluation}, "job-1", 7); err != nil || len(g.Data) != 0 {
		t.Errorf("an evaluation: %v, %v", g, err)
	}
}

func TestDamagedGradientsAreRefused(t *testing.T) {
	for name, change := range map[string]func(f *fakeReplica){
		"nothing":      func(f *fakeReplica) { f.gradients = nil },
		"no row":       func(f *fakeReplica) { f.gradients[0].Row = nil },
		"another step": func(f *fakeReplica) { f.gradients[0].Row.Step = 8 },
		"a gap":        func(f *fakeReplica) { f.gradients = slices.Delete(f.gradients, 1, 2) },
		"twice":        func(f *fakeReplica) { f.gradients = slices.Insert(f.gradients, 1, f.gradients[0]) },
		"half a float": func(f *fakeReplica) { f.gradients[2].Data = f.gradients[2].Data[:6] },
		"broken off":   func(f *fakeReplica) { f.end = errors.New("connection reset") },
	} {
		_, pieces := sentGradient(t)
		f := &fakeReplica{gradients: pieces}
		change(f)
		if g, err := FetchGradient(t.Context(), f, "job-1", 7); err == nil {
			t.Errorf("%s: taken with %d floats", name, len(g.Data))
		}
	}
}

// FuzzPlace: a piece from outside lands within its vector or not at all.
func FuzzPlace(f *testing.F) {
	f.Add(uint32(0), uint64(0), []byte{0, 0, 0, 0})
	f.Add(uint32(1), uint64(1)<<63, []byte{1, 2, 3, 4})
	f.Add(uint32(7), uint64(3), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, vector uint32, first uint64, data []byte) {
		vectors := [][]float32{make([]float32, 3), make([]float32, 5)}
		n, err := place(vectors, &api.StatePiece{Vector: vector, First: first, Data: data})
		if err != nil {
			if n != 0 {
				t.Fatalf("%d floats placed with %v", n, err)
			}
			return
		}
		if got := floats.Bytes(vectors[vector][first : int(first)+n]); n*4 != len(data) || string(got) != string(data) {
			t.Fatalf("%x lies there instead of %x", got, data)
		}
	})
}
