package job

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"convoy/similar"
)

// key is one key of a job file: what it fills and which values it takes.
type key struct {
	path  string
	text  func(f *File) *string // what a text key fills, nil for the others
	set   func(f *File, n ast.Node) error
	check func(f *File) error // the key's own range, without position
}

// keys is the whole job file, in the order in which YAML writes it.
var keys = []key{
	textKey("name", func(f *File) *string { return &f.Name }, checkName),
	textKey("model.name", func(f *File) *string { return &f.Model }, checkModel),
	boolKey("model.auxiliary", func(f *File) *bool { return &f.Auxiliary }),
	{path: "model.layers", set: setLayers, check: func(f *File) error { return checkLayers(f.Layers) }},
	textKey("data.name", func(f *File) *string { return &f.Data.Name }, checkDataName),
	textKey("data.dir", func(f *File) *string { return &f.Data.Dir }, checkDataDir),
	wholeKey("data.window", func(f *File) *int { return &f.Data.Window }, 0, maxDataWindow),
	{path: "input.resize", set: setResize, check: checkResize},
	wholeKey("input.pad", func(f *File) *int { return &f.Input.Pad }, 0, maxPad),
	textKey("input.normalize", func(f *File) *string { return &f.Input.Normalize }, func(f *File) error { return checkNormalize(f.Input.Normalize) }),
	floatKey("input.low", func(f *File) *float32 { return &f.Input.Low }, finite, "such as 0"),
	floatKey("input.high", func(f *File) *float32 { return &f.Input.High }, finite, "such as 1"),
	boolKey("augment.flip", func(f *File) *bool { return &f.Augment.Flip }),
	wholeKey("augment.crop", func(f *File) *int { return &f.Augment.Crop }, 0, maxPad),
	wholeKey("augment.shift", func(f *File) *int { return &f.Augment.Shift }, 0, maxPad),
	jitterKey("augment.brightness", func(f *File) *float32 { return &f.Augment.Brightness }),
	jitterKey("augment.contrast", func(f *File) *float32 { return &f.Augment.Contrast }),
	jitterKey("augment.saturation", func(f *File) *float32 { return &f.Augment.Saturation }),
	wholeKey("epochs", func(f *File) *int { return &f.Epochs }, 1, maxCount),
	wholeKey("batch", func(f *File) *int { return &f.Batch }, 1, maxCount),
	{path: "micro_batches", set: setWhole("micro_batches", func(f *File) *int { return &f.MicroBatches }), check: func(f *File) error {
		return checkMicroBatches(f.MicroBatches)
	}},
	{path: "seed", set: setSeed, check: func(*File) error { return nil }},
	textKey("algorithm", func(f *File) *string { return &f.Algorithm }, func(f *File) error { return checkAlgorithm(f.Algorithm) }),
	textKey("loss", func(f *File) *string { return &f.Loss }, func(f *File) error { return checkLoss(f.Loss) }),
	floatKey("optimizer.lr", func(f *File) *float32 { return &f.Optimizer.LR }, func(v float32) bool { return v > 0 }, "above 0"),
	floatKey("optimizer.momentum", func(f *File) *float32 { return &f.Optimizer.Momentum }, func(v float32) bool { return v >= 0 && v < 1 }, "from 0 to below 1"),
	boolKey("optimizer.nesterov", func(f *File) *bool { return &f.Optimizer.Nesterov }),
	floatKey("optimizer.weight_decay", func(f *File) *float32 { return &f.Optimizer.WeightDecay }, func(v float32) bool { return v >= 0 }, "0 or more"),
	boolKey("optimizer.decay_biases", func(f *File) *bool { return &f.Optimizer.DecayBiases }),
	floatKey("optimizer.clip_norm", func(f *File) *float32 { return &f.Optimizer.ClipNorm }, func(v float32) bool { return v >= 0 }, "above 0, or 0 for no clipping"),
	textKey("schedule.type", func(f *File) *string { return &f.Schedule.Type }, checkScheduleType),
	{path: "schedule.milestones", set: setMilestones, check: checkMilestones},
	wholeKey("schedule.every", func(f *File) *int { return &f.Schedule.Every }, 0, maxCount),
	floatKey("schedule.gamma", func(f *File) *float32 { return &f.Schedule.Gamma }, func(v float32) bool { return v > 0 && v <= 1 }, "above 0 and at most 1"),
	floatKey("schedule.final_lr", func(f *File) *float32 { return &f.Schedule.FinalLR }, func(v float32) bool { return v >= 0 }, "0 or more"),
	wholeKey("schedule.warmup_epochs", func(f *File) *int { return &f.Schedule.WarmupEpochs }, 0, maxCount),
	wholeKey("schedule.warmup_steps", func(f *File) *int { return &f.Schedule.WarmupSteps }, 0, maxCount),
	wholeKey("schedule.scale_batch", func(f *File) *int { return &f.Schedule.ScaleBatch }, 0, maxCount),
	textKey("wire.format", func(f *File) *string { return &f.Wire.Format }, func(f *File) error { return checkWireFormat(f.Wire.Format) }),
	wholeKey("wire.unit", func(f *File) *int { return &f.Wire.Unit }, 0, maxMicroBatches),
	wholeKey("simulate_compute_ms", func(f *File) *int { return &f.SimulateComputeMS }, 0, int(MaxSimulate.Milliseconds())),
	wholeKey("workers.min", func(f *File) *int { return &f.Workers.Min }, 1, maxWorkers),
	wholeKey("workers.max", func(f *File) *int { return &f.Workers.Max }, 0, maxWorkers),
	wholeKey("checkpoint.every", func(f *File) *int { return &f.Checkpoint.Every }, 0, maxCount),
	wholeKey("checkpoint.keep", func(f *File) *int { return &f.Checkpoint.Keep }, 1, 1<<16),
	floatKey("audit", func(f *File) *float32 { return &f.Audit }, func(v float32) bool { return v >= 0 && v <= 1 }, "from 0 to 1: the share of the blocks that a second worker computes too"),
}

// setText fills a text key.
func (k *key) setText(f *File, value string) {
	if k.path == "model.name" {
		f.setModel(value, nil)
		return
	}
	*k.text(f) = value
}

// setModel changes the network. A name that was only the model's name follows it.
func (f *File) setModel(name string, layers []Layer) {
	if f.Name == f.Model {
		f.Name = name
	}
	f.Model, f.Layers = name, layers
}

func textKey(path string, field func(*File) *string, check func(*File) error) key {
	k := key{path: path, text: field, check: check}
	k.set = func(f *File, n ast.Node) error {
		s, ok := n.(*ast.StringNode)
		if !ok {
			return fmt.Errorf("%s: want text; if it is meant as text put it in quotes", describe(path, n))
		}
		k.setText(f, s.Value)
		return nil
	}
	return k
}

func wholeKey(path string, field func(*File) *int, low, high int) key {
	return key{path: path, set: setWhole(path, field), check: func(f *File) error {
		if v := *field(f); v < low || v > high {
			return fmt.Errorf("%s %d: want %d to %d", path, v, low, high)
		}
		return nil
	}}
}

func setWhole(path string, field func(*File) *int) func(*File, ast.Node) error {
	return func(f *File, n ast.Node) error {
		v, err := wholeNumber(path, n)
		if err == nil {
			*field(f) = v
		}
		return err
	}
}

// wholeNumber is the value of a node, within an int32.
func wholeNumber(path string, n ast.Node) (int, error) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		return 0, fmt.Errorf("%s: want a whole number", describe(path, n))
	}
	switch v := i.Value.(type) {
	case int64:
		if v >= math.MinInt32 && v <= math.MaxInt32 {
			return int(v), nil
		}
	case uint64:
		if v <= math.MaxInt32 {
			return int(v), nil
		}
	}
	return 0, fmt.Errorf("%s %s is out of range: at most %d", path, i.Token.Value, maxCount)
}

var decimal = regexp.MustCompile(`^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$`)

func floatKey(path string, field func(*File) *float32, fine func(float32) bool, want string) key {
	set := func(f *File, n ast.Node) error {
		v, err := realNumber(path, n)
		if err == nil {
			*field(f) = v
		}
		return err
	}
	return key{path: path, set: set, check: func(f *File) error {
		v := *field(f)
		if !fine(v) || !finite(v) {
			return fmt.Errorf("%s %v: want a finite number %s", path, v, want)
		}
		return nil
	}}
}

// realNumber is the value of a node as a finite float32.
func realNumber(path string, n ast.Node) (float32, error) {
	// The YAML package takes 1e-3, which has no dot, for text.
	t := n.GetToken()
	if t == nil || t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType || !decimal.MatchString(t.Value) {
		return 0, fmt.Errorf("%s: want a finite number", describe(path, n))
	}
	// The text is rounded to float32 once; by way of float64 would be twice.
	v, err := strconv.ParseFloat(t.Value, 32)
	if err != nil {
		return 0, fmt.Errorf("%s %s: too large for a float32", path, clip(t.Value))
	}
	if v == 0 {
		v = 0 // no −0: it would make another recipe of the same arithmetic
	}
	return float32(v), nil
}

func setSeed(f *File, n ast.Node) error {
	if i, ok := n.(*ast.IntegerNode); ok {
		switch v := i.Value.(type) {
		case uint64:
			f.Seed = v
			return nil
		case int64:
			if v >= 0 {
				f.Seed = uint64(v)
				return nil
			}
		}
	}
	return fmt.Errorf("%s: want a whole number from 0 to 18446744073709551615", describe("seed", n))
}

func boolKey(path string, field func(*File) *bool) key {
	return key{path: path, check: func(*File) error { return nil }, set: func(f *File, n ast.Node) error {
		v, err := truth(path, n)
		if err == nil {
			*field(f) = v
		}
		return err
	}}
}

// truth is the value of a node that is true or false.
func truth(path string, n ast.Node) (bool, error) {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		return false, fmt.Errorf("%s: want true or false", describe(path, n))
	}
	return b.Value, nil
}

// shorthands are the groups that may be written as one text, and the key which
// that text is: data: digits is data: {name: digits}.
var shorthands = map[string]string{"model": "model.name", "data": "data.name", "schedule": "schedule.type", "wire": "wire.format"}

// lookup returns the key of that path, or nil.
func lookup(path string) *key {
	for i := range keys {
		if keys[i].path == path {
			return &keys[i]
		}
	}
	return nil
}

// group returns path if keys lie under it, else "".
func group(path string) string {
	for _, k := range keys {
		if strings.HasPrefix(k.path, path+".") {
			return path
		}
	}
	return ""
}

// children lists the names directly under a prefix such as "" or "optimizer.".
func children(prefix string) []string {
	var names []string
	for _, k := range keys {
		if rest, ok := strings.CutPrefix(k.path, prefix); ok {
			name, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// unknown is the error for a key that does not exist under prefix.
func unknown(path, prefix string) error {
	if best := nearest(path, prefix); best != "" {
		return fmt.Errorf("unknown key %q, did you mean %q?", clip(path), best)
	}
	return fmt.Errorf("unknown key %q: the keys here are %s", clip(path), strings.Join(children(prefix), ", "))
}

// nearest returns the existing key that path was most likely meant to be: one
// with a name at most a third of whose letters differ. At the top it also knows
// the keys of groups by their last name, as in lr.
func nearest(path, prefix string) string {
	best, distance := "", 3
	if len(path) < 2 || len(path) > 64 {
		return ""
	}
	offer := func(name, full string) {
		if d := similar.Edits(path, name); d < distance && d <= max(1, len(name)/3) {
			best, distance = full, d
		}
	}
	for _, k := range keys {
		dot := strings.LastIndexByte(k.path, '.')
		if dot >= 0 {
			offer(k.path[:dot], k.path[:dot])
		}
		offer(k.path, k.path)
		if prefix == "" {
			offer(k.path[dot+1:], k.path)
		}
	}
	return best
}

// entriesOf returns the entries of a mapping; ok is false for anything else.
func entriesOf(n ast.Node) (entries []*ast.MappingValueNode, ok bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// describe says what stands where something else was wanted.
func describe(path string, n ast.Node) string {
	what := ""
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		what = "a mapping"
	case *ast.SequenceNode:
		what = "a list"
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		what = "an anchor, alias or tag, which job files do not have"
	case *ast.LiteralNode:
		what = "a block of text"
	case *ast.NullNode:
		what = "empty"
	case *ast.InfinityNode, *ast.NanNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		what = clip(n.GetToken().Value)
	default:
		what = strconv.Quote(clip(n.GetToken().Value))
	}
	if path = strings.TrimSuffix(path, "."); path == "" {
		path = "the file"
	}
	return path + " is " + what
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

func position(filename string, t *token.Token) string {
	if t == nil || t.Position == nil {
		return filename
	}
	return fmt.Sprintf("%s:%d:%d", filename, t.Position.Line, t.Position.Column)
}

// syntaxError cuts the parser's error, which quotes the source, to one line.
func syntaxError(filename string, err error) error {
	var at yaml.Error
	if errors.As(err, &at) {
		return fmt.Errorf("%s: %s: not valid YAML", position(filename, at.GetToken()), at.GetMessage())
	}
	return fmt.Errorf("%s: not valid YAML: %w", filename, err)
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
