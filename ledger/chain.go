package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math"

	"convoy/api"
	"convoy/digest"
	"convoy/job"
)

// FromCommit expands a committed entry into rows. unixNanos is the proposer's
// clock, recordChain what RecordChain returned for the entry. Each row says in
// full who computed it, also where the entry says "as the row before", so that
// it can be read alone. An entry with digests of the wrong length gives rows
// that Append refuses.
func FromCommit(seq job.Sequence, c *api.StepCommit, unixNanos int64, recordChain []byte) []*api.LedgerRow {
	rows := make([]*api.LedgerRow, len(c.Rows))
	chain, _ := digest.FromBytes(c.ChainBefore)
	var workers []string
	var shares []*api.Share
	for i, r := range c.Rows {
		step := seq.At(int(c.First) + i)
		var g digest.Gradient
		copy(g[:], r.GradientDigest)
		chain = digest.Next(chain, g)
		if len(r.Shares) > 0 {
			workers, shares = named(c.Workers, r.Shares)
		}
		rows[i] = &api.LedgerRow{
			Step: c.First + uint64(i), Evaluation: step.Evaluation, Epoch: uint32(step.Epoch) + 1,
			Chain: bytes.Clone(chain[:]), GradientDigest: r.GradientDigest,
			LossSum: r.LossSum, Correct: r.Correct, Top5: r.Top5, Examples: r.Examples, StateDigest: r.StateDigest, Audited: r.Audited,
			Workers: workers, Shares: shares, UnixNanos: unixNanos, PublishedUs: r.PublishedUs, RecordChain: recordChain,
		}
	}
	return rows
}

// named cuts an entry's table of workers down to those of one row, in the order
// of their shares.
func named(table []string, shares []*api.Share) (workers []string, renamed []*api.Share) {
	index := map[uint32]uint32{}
	for _, s := range shares {
		i, found := index[s.Worker]
		if !found {
			i = uint32(len(workers))
			index[s.Worker] = i
			workers = append(workers, nameOf(table, s.Worker))
		}
		renamed = append(renamed, &api.Share{Worker: i, Low: s.Low, High: s.High})
	}
	return workers, renamed
}

// nameOf is the worker's name, empty where a share points outside the table.
func nameOf(table []string, worker uint32) string {
	if int64(worker) < int64(len(table)) {
		return table[worker]
	}
	return ""
}

// RecordChain is the head of the record chain after an entry: SHA-256 over the
// head before it (nil before the first), the proposer's clock, and the entry's
// steps, sums, digests, times, audits and shares with the workers' names. The job's
// ID is not in it: what it covers can be rebuilt from the rows.
func RecordChain(prev []byte, entry *api.StepCommit, unixNanos int64) []byte {
	r := newRecord(prev, entry.First, entry.ChainBefore, unixNanos)
	var shares []*api.Share
	for _, row := range entry.Rows {
		if len(row.Shares) > 0 {
			shares = row.Shares
		}
		r.add(row, entry.Workers, shares)
	}
	return r.head()
}

// record computes one entry's head of the record chain, row by row.
type record struct{ h hash.Hash }

func newRecord(prev []byte, first uint64, chainBefore []byte, unixNanos int64) *record {
	r := &record{sha256.New()}
	r.bytes([]byte("convoy record 2"))
	r.bytes(prev)
	r.uint(uint64(unixNanos))
	r.uint(first)
	r.bytes(chainBefore)
	return r
}

// figures are what the record covers of a row; both kinds of row have them.
type figures interface {
	GetGradientDigest() []byte
	GetLossSum() float64
	GetCorrect() uint32
	GetTop5() uint32
	GetExamples() uint32
	GetStateDigest() []byte
	GetAudited() uint32
	GetPublishedUs() uint32
}

func (r *record) add(row figures, workers []string, shares []*api.Share) {
	r.bytes(row.GetGradientDigest())
	r.uint(math.Float64bits(row.GetLossSum()))
	r.uint(uint64(row.GetCorrect()))
	r.uint(uint64(row.GetTop5()))
	r.uint(uint64(row.GetExamples()))
	r.bytes(row.GetStateDigest())
	r.uint(uint64(len(shares)))
	for _, s := range shares {
		r.bytes([]byte(nameOf(workers, s.Worker)))
		r.uint(uint64(s.Low))
		r.uint(uint64(s.High))
	}
	r.named("audited", row.GetAudited())
	r.named("published", row.GetPublishedUs())
}

// named adds a figure that most rows, or those of older releases, do not have.
func (r *record) named(name string, n uint32) {
	if n > 0 {
		r.bytes([]byte(name))
		r.uint(uint64(n))
	}
}

func (r *record) head() []byte { return r.h.Sum(nil) }

func (r *record) bytes(b []byte) {
	r.uint(uint64(len(b)))
	r.write(b)
}

func (r *record) uint(u uint64) {
	r.write(binary.LittleEndian.AppendUint64(nil, u))
}

func (r *record) write(b []byte) {
	if _, err := r.h.Write(b); err != nil {
		panic(err) // a hash never fails
	}
}

// chains follows both chains along the rows. A row ends its entry where the
// record computed so far is the one it names; rows that end in the middle of an
// entry are fine, the entry is checked once the rest has come.
type chains struct {
	step   uint64     // the next row's
	result digest.Sum // c(step)
	head   []byte     // of the record chain, after the last whole entry
	entry  *record    // of the entry under way, nil between entries
	first  uint64     // its first step
	name   []byte     // its record chain, as its rows say
}

// clone returns a copy that moves on without c.
func (c *chains) clone() chains {
	n := *c
	if c.entry != nil {
		h, err := c.entry.h.(hash.Cloner).Clone()
		if err != nil {
			panic(err) // SHA-256 can be cloned
		}
		n.entry = &record{h}
	}
	return n
}

// next checks one row and moves on; after an error c must not be used.
func (c *chains) next(r *api.LedgerRow) error {
	g := r.GradientDigest
	switch {
	case r.Step != c.step:
		return fmt.Errorf("row of step %d where step %d is due", r.Step, c.step)
	case len(g) != len(digest.Gradient{}):
		return fmt.Errorf("step %d: a gradient's digest of %d bytes", r.Step, len(g))
	case len(r.StateDigest) != 0 && len(r.StateDigest) != len(digest.Sum{}):
		return fmt.Errorf("step %d: a state's digest of %d bytes", r.Step, len(r.StateDigest))
	}
	after := digest.Next(c.result, digest.Gradient(g))
	if !bytes.Equal(after[:], r.Chain) {
		return &BrokenError{
			r.Step, "chain", clip(r.Chain), after[:],
			fmt.Sprintf("step %d: the row says chain %x, its gradient gives %s: the row is of another run or was altered", r.Step, clip(r.Chain), after),
		}
	}
	if c.entry == nil {
		c.entry, c.first, c.name = newRecord(c.head, r.Step, c.result[:], r.UnixNanos), r.Step, r.RecordChain
	}
	if !bytes.Equal(c.name, r.RecordChain) {
		return &BrokenError{
			c.first, "record_chain", clip(c.name), c.entry.head(),
			fmt.Sprintf("steps %d to %d: the rows do not give the record chain %x that they name: one of them was altered", c.first, r.Step-1, clip(c.name)),
		}
	}
	c.entry.add(r, r.Workers, r.Shares)
	if bytes.Equal(c.entry.head(), r.RecordChain) {
		c.head, c.entry = r.RecordChain, nil
	}
	c.step, c.result = c.step+1, after
	return nil
}

func clip(b []byte) []byte { return b[:min(len(b), len(digest.Sum{}))] }
