package state

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/digest"
	"convoy/floats"
	"convoy/optim"
)

// Copy is a consistent copy of a job's state, for others.
type Copy struct {
	State *optim.State
	Step  int
	Chain digest.Sum
	Rows  []*api.StepRow // of the steps before Step that the sender has not seen committed
}

// Copy copies the state with what belongs to it.
func (k *Keeper) Copy() *Copy {
	c := &Copy{State: k.state.Clone(), Step: k.step, Chain: k.chain}
	for _, r := range k.rows {
		c.Rows = append(c.Rows, proto.CloneOf(r))
	}
	return c
}

// Blank is a state of the same shape, to fetch another one into.
func (k *Keeper) Blank() *optim.State {
	s := &optim.State{Layout: k.state.Layout, Params: make([]float32, len(k.state.Params))}
	for _, v := range k.state.Slots {
		s.Slots = append(s.Slots, make([]float32, len(v)))
	}
	return s
}

// pieceFloats is what one message of a transfer over gRPC holds: 1 MiB.
const pieceFloats = 256 << 10

// Send streams a copy to another process.
func (c *Copy) Send(send func(*api.StatePiece) error) error {
	sum := c.State.Digest()
	piece := &api.StatePiece{Step: uint64(c.Step), Chain: c.Chain[:], Digest: sum[:], Rows: c.Rows}
	for i, v := range append([][]float32{c.State.Params}, c.State.Slots...) {
		for first := 0; first < len(v); first += pieceFloats {
			piece.Vector, piece.First = uint32(i), uint64(first)
			piece.Data = floats.Bytes(v[first:min(first+pieceFloats, len(v))])
			if err := send(piece); err != nil {
				return err
			}
			piece = &api.StatePiece{}
		}
	}
	return nil
}

// FetchState gets a state from a replica into one of the right shape, which it
// keeps, and compares it with its digest.
func FetchState(ctx context.Context, from api.ReplicasClient, job string, into *optim.State) (*Copy, error) {
	stream, err := from.FetchState(ctx, &api.FetchStateRequest{Job: job})
	if err != nil {
		return nil, fmt.Errorf("fetch the state: %w", err)
	}
	var head *api.StatePiece
	c := &Copy{State: into}
	vectors := append([][]float32{c.State.Params}, c.State.Slots...)
	missing := 0
	for _, v := range vectors {
		missing += len(v)
	}
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("fetch the state: %w", err)
		}
		if head == nil {
			head = piece
		}
		n, err := place(vectors, piece)
		if err != nil {
			return nil, fmt.Errorf("fetch the state: %w", err)
		}
		missing -= n
	}
	if head == nil || missing != 0 {
		return nil, fmt.Errorf("fetch the state: %d floats are missing; it is fetched again", missing)
	}
	chain, ok := digest.FromBytes(head.Chain)
	if sum := c.State.Digest(); !ok || string(sum[:]) != string(head.Digest) {
		return nil, fmt.Errorf("fetch the state of step %d: it arrived with digest %s, its sender says %x", head.Step, sum, head.Digest)
	}
	if head.Step > maxSteps {
		return nil, fmt.Errorf("fetch the state: it is of step %d, no job has so many", head.Step)
	}
	c.Step, c.Chain, c.Rows = int(head.Step), chain, head.Rows
	return c, nil
}

func place(vectors [][]float32, p *api.StatePiece) (int, error) {
	v, err := floats.Decode(p.Data)
	if err != nil {
		return 0, err
	}
	if int(p.Vector) >= len(vectors) || p.First > uint64(len(vectors[p.Vector])) ||
		len(v) > len(vectors[p.Vector])-int(p.First) {
		return 0, fmt.Errorf("%d floats at %d of vector %d do not fit this model", len(v), p.First, p.Vector)
	}
	return copy(vectors[p.Vector][p.First:], v), nil
}

// Send streams a gradient to another process.
func (g *Gradient) Send(send func(*api.GradientPiece) error) error {
	piece := &api.GradientPiece{Row: g.Row}
	for first := 0; first < len(g.Data) || first == 0; first += pieceFloats {
		piece.First = uint64(first)
		piece.Data = floats.Bytes(g.Data[first:min(first+pieceFloats, len(g.Data))])
		if err := send(piece); err != nil {
			return err
		}
		piece = &api.GradientPiece{}
	}
	return nil
}

// maxSteps is more than a recipe may have.
const maxSteps = 1 << 41

// maxFloats bounds what a transfer may claim: the largest of our networks has
// 144 million parameters.
const maxFloats = 1 << 31

// FetchGradient gets the gradient of one step from a replica that still has it.
// The keeper it is added to compares it with its digests.
func FetchGradient(ctx context.Context, from api.ReplicasClient, job string, step int) (*Gradient, error) {
	stream, err := from.FetchGradient(ctx, &api.FetchGradientRequest{Job: job, Step: uint64(step)})
	if err != nil {
		return nil, fmt.Errorf("fetch gradient %d: %w", step, err)
	}
	g := &Gradient{}
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("fetch gradient %d: %w", step, err)
		}
		if piece.Row != nil && g.Row == nil {
			g.Row = piece.Row
		}
		v, err := floats.Decode(piece.Data)
		if err != nil || piece.First != uint64(len(g.Data)) || len(g.Data)+len(v) > maxFloats {
			return nil, fmt.Errorf("fetch gradient %d: a piece at %d does not follow on %d floats", step, piece.First, len(g.Data))
		}
		g.Data = append(g.Data, v...)
	}
	if g.Row == nil || g.Row.Step != uint64(step) {
		return nil, fmt.Errorf("fetch gradient %d: the answer has no row of that step", step)
	}
	return g, nil
}
