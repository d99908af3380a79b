package verify

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"

	"convoy/api"
)

// A Difference is a step of which two accounts differ.
type Difference struct {
	Step   int
	Field          // the most telling
	Others []Field // that differ too
}

// A Field is a value of a step in two accounts, under the name that it has in the
// ledger's JSON: digests as hex digits, numbers as decimals. A state's digest is
// that of the state before the step.
type Field struct{ Name, A, B string }

// The names of the fields that are not alike in everything.
const (
	stateDigest = "state_digest"
	resultChain = "chain"
)

// compare returns what differs between two rows of one step, the most telling
// first. Who computed it, and when, is not compared.
func compare(a, b *api.LedgerRow) []Field {
	var fields []Field
	add := func(same bool, f Field) {
		if !same {
			fields = append(fields, f)
		}
	}
	digests := func(name string, a, b []byte) {
		add(bytes.Equal(a, b), Field{name, hex.EncodeToString(a), hex.EncodeToString(b)})
	}
	count := func(name string, a, b uint32) {
		add(a == b, Field{name, strconv.FormatUint(uint64(a), 10), strconv.FormatUint(uint64(b), 10)})
	}
	digests(stateDigest, a.GetStateDigest(), b.GetStateDigest())
	digests("gradient_digest", a.GetGradientDigest(), b.GetGradientDigest())
	x, y := a.GetLossSum(), b.GetLossSum()
	add(math.Float64bits(x) == math.Float64bits(y), Field{"loss_sum", float(x), float(y)})
	count("correct", a.GetCorrect(), b.GetCorrect())
	count("top5", a.GetTop5(), b.GetTop5())
	count("examples", a.GetExamples(), b.GetExamples())
	digests(resultChain, a.GetChain(), b.GetChain())
	count("epoch", a.GetEpoch(), b.GetEpoch())
	add(a.GetEvaluation() == b.GetEvaluation(), Field{"evaluation", strconv.FormatBool(a.GetEvaluation()), strconv.FormatBool(b.GetEvaluation())})
	return fields
}

// differenceOf makes a difference of fields, nil of none.
func differenceOf(step int, fields []Field) *Difference {
	if len(fields) == 0 {
		return nil
	}
	return &Difference{Step: step, Field: fields[0], Others: fields[1:]}
}

// float is the shortest decimal that reads back as the same number.
func float(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
