package job

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// File is a job file with its defaults filled in. The zero value is no usable
// file: begin with Parse, or with Default and Set.
type File struct {
	Name         string  // default: the model's name
	Model        string  // a name, or Listed
	Auxiliary    bool    // train the model's auxiliary classifiers too
	Layers       []Layer // the network where Model is Listed, else nil
	Data         Source
	Input        Input     // default: the images as they are, normalised as the model wants
	Augment      Augment   // default: none
	Epochs       int       // default 3
	Batch        int       // examples of a training step, default 256
	MicroBatches int       // M, a power of two, default 8
	Seed         uint64    // default 1
	Algorithm    string    // of convolutions: AlgorithmAuto, the default, or AlgorithmDirect
	Loss         string    // what training makes small: LossAuto, the default, is the model's own
	Optimizer    Optimizer // default lr 0.2, biases decay too, all else 0
	Schedule     Schedule  // default constant
	Wire         Wire      // default fp32
	// SimulateComputeMS has workers sleep so many milliseconds instead of computing
	// their part of a step, with zeros for gradients: for measuring clusters.
	SimulateComputeMS int
	Workers           Workers
	Checkpoint        Checkpoint
	// Audit is the share of the blocks that a second worker computes too, 0 to 1,
	// default 0; with 1 no step goes on before two workers agree. It cannot change
	// the model.
	Audit float32

	origin *origin
}

// Source says where the examples come from, a data set's name and, unless it is
// built in, the folder that holds its files, and how they are mixed.
type Source struct {
	Name, Dir string
	// Window is in how many shards at a time examples are mixed, so that a worker
	// need not hold all of a large set; 0, the default, mixes all examples.
	Window int
}

// Wire is how gradients travel. It is part of the recipe, since rounding changes
// the model.
type Wire struct {
	Format string // WireFloat32 or WireBFloat16
	// Unit is how many micro-batches the smallest sum on a wire of bfloat16 has, a
	// power of two up to all of them; 0, the default, is one. Larger units
	// compute faster and divide among fewer workers.
	Unit int
}

// Workers bounds the number of workers. It cannot change the model.
type Workers struct {
	Min int // the job starts once this many are there, default 1
	Max int // 0, the default, is any number
}

// Checkpoint is the cadence of checkpoints. It cannot change the model.
type Checkpoint struct {
	Every int // training steps; 0, the default, is each epoch's end
	Keep  int // how many files stay, default 2
}

// origin remembers where the values of a File were written.
type origin struct {
	filename string
	at       map[string]string // path of a key: "lenet.yaml:2:8" or the override
}

// defaultEpochs is how long a job runs that does not say it.
const defaultEpochs = 3

// Default returns a file that lacks only the model and the data.
func Default() File {
	return File{
		Epochs: defaultEpochs, Batch: 256, MicroBatches: 8, Seed: 1, Algorithm: AlgorithmAuto, Loss: LossAuto,
		Input:      Input{Normalize: NormalizeAuto},
		Optimizer:  Optimizer{LR: 0.2, DecayBiases: true},
		Schedule:   Schedule{Type: ScheduleConstant, Gamma: defaultGamma},
		Wire:       Wire{Format: WireFloat32},
		Workers:    Workers{Min: 1},
		Checkpoint: Checkpoint{Keep: 2},
	}
}

// maxSource is far above any job file and keeps a hostile one from the parser.
const maxSource = 64 << 10

// Parse reads a job file, applies overrides ("optimizer.lr=0.05") in order and
// checks the result. Errors name the file, line and column; the filename is
// used for nothing else.
func Parse(src []byte, filename string, overrides ...string) (File, error) {
	f := Default()
	f.origin = &origin{filename: filename, at: map[string]string{}}
	if len(src) > maxSource {
		return File{}, fmt.Errorf("%s: %d bytes are too long for a job file: at most %d", filename, len(src), maxSource)
	}
	tree, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return File{}, syntaxError(filename, err)
	}
	if len(tree.Docs) > 1 {
		return File{}, fmt.Errorf("%s: %d YAML documents: write one job a file", filename, len(tree.Docs))
	}
	if len(tree.Docs) == 1 && tree.Docs[0].Body != nil {
		if err := f.read("", tree.Docs[0].Body, tree.Docs[0].Body); err != nil {
			return File{}, err
		}
	}
	for _, o := range overrides {
		if err := f.Set(o); err != nil {
			return File{}, err
		}
	}
	if err := f.Check(); err != nil {
		return File{}, err
	}
	return f, nil
}

// Set overrides one key: "optimizer.lr=0.05", "data=digits", "workers={min: 2}".
// Text is taken as it stands, without quotes. The key, the value's type and its
// range are checked at once; what keys ask of each other is left to Check, so
// that the order of overrides does not matter.
func (f *File) Set(override string) error {
	path, value, found := strings.Cut(override, "=")
	if !found {
		return fmt.Errorf("%q sets nothing: write KEY=VALUE, for example optimizer.lr=0.05", override)
	}
	path, value = strings.TrimSpace(path), strings.TrimSpace(value)
	changed := *f
	changed.origin = f.origin.override(path, override)
	if err := changed.override(path, value); err != nil {
		return fmt.Errorf("%s: %w", override, err)
	}
	*f = changed
	return nil
}

func (f *File) override(path, value string) error {
	k := lookup(path)
	if k == nil && group(path) == "" {
		return unknown(path, "")
	}
	if short := lookup(shorthands[path]); short != nil && !strings.HasPrefix(value, "{") {
		f.setShort(short, value)
		return short.check(f)
	}
	if k != nil && k.text != nil {
		k.setText(f, value)
		return k.check(f)
	}
	node, err := parser.ParseBytes([]byte(value), 0, parser.AllowDuplicateMapKey())
	if err != nil || len(node.Docs) != 1 || node.Docs[0].Body == nil {
		return fmt.Errorf("%q is no value", value)
	}
	body := node.Docs[0].Body
	if k == nil {
		inner := *f
		inner.origin = nil
		if err := inner.read(path+".", body, body); err != nil {
			return err
		}
		inner.origin = f.origin
		*f = inner
		return f.checkKeys(path + ".")
	}
	if err := k.set(f, body); err != nil {
		return err
	}
	return k.check(f)
}

// At tells where the value of a key ("model", "data.name") was given:
// "lenet.yaml:2:8", or the override that gave it, or the file's name where the
// key was left out. It is empty for a File that never saw a file. Packages that
// find out later that a value is wrong begin their errors with it.
func (f File) At(path string) string {
	if f.origin == nil {
		return ""
	}
	for p := path; p != ""; p = p[:max(0, strings.LastIndexByte(p, '.'))] {
		if at := f.origin.at[p]; at != "" {
			return at
		}
	}
	return f.origin.filename
}

// Errorf is fmt.Errorf with At(path) in front.
func (f File) Errorf(path, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if at := f.At(path); at != "" {
		return fmt.Errorf("%s: %w", at, err)
	}
	return err
}

// override returns a copy of o in which path was given by text.
func (o *origin) override(path, text string) *origin {
	n := &origin{at: map[string]string{}}
	if o != nil {
		n.filename = o.filename
		for k, v := range o.at {
			if !strings.HasPrefix(k, path+".") {
				n.at[k] = v
			}
		}
	}
	n.at[path] = text
	return n
}

// Recipe returns the arithmetic part of f for the data set that f names.
func (f File) Recipe(d Data) Recipe {
	return Recipe{
		Model: f.Model, Auxiliary: f.Auxiliary, Layers: f.Layers, Data: d, Window: f.Data.Window, Input: f.Input, Augment: f.Augment,
		Epochs: f.Epochs, Batch: f.Batch, MicroBatches: f.MicroBatches, Seed: f.Seed, Algorithm: f.Algorithm, Loss: f.Loss,
		Optimizer: f.Optimizer, Schedule: f.Schedule, Wire: f.Wire.Format, WireUnit: f.Wire.unit(), SimulateComputeMS: f.SimulateComputeMS, ArithmeticVersion: ArithmeticVersion,
	}
}

// Warnings says what is legal but wasteful when a job runs on so many workers.
func (f File) Warnings(workers int) []string {
	var all []string
	if text := Uneven(f.MicroBatches, workers); text != "" {
		all = append(all, text)
	}
	switch {
	case workers != 1 || f.Audit == 0:
	case f.Audit < 1:
		all = append(all, "a worker alone audits nothing: start another one, or leave out audit")
	default:
		all = append(all, "audit: 1 has every block computed by two workers: the job waits until a second one is there")
	}
	return all
}

// Uneven says that m micro-batches divide badly among so many workers, and what
// to do; it is empty where they do not.
func Uneven(m, workers int) string {
	if workers < 1 || m < 1 {
		return ""
	}
	rounds := (m + workers - 1) / workers // micro-batches of the busiest worker
	efficiency := float64(m) / float64(workers*rounds)
	if efficiency >= 0.85 {
		return ""
	}
	return fmt.Sprintf("%d micro-batches divide badly among %d workers: the busiest computes %d, efficiency %.2f; "+
		"%s, or another micro_batches, which is part of the recipe and gives another model",
		m, workers, rounds, math.Floor(100*efficiency+0.5)/100, better(m, workers))
}

// better names the largest number of workers below the given one that shares m
// micro-batches evenly: m or a power of two.
func better(m, workers int) string {
	n := 1
	for 2*n <= min(m, workers) {
		n *= 2
	}
	if n == workers {
		n = m
	}
	if n == 1 {
		return "use 1 worker"
	}
	return fmt.Sprintf("use %d workers", n)
}

// ID names the job that a request made: the name, a dash and 6 characters that
// follow from the request, so that a retry means the same job. It is one word of
// letters, digits, dashes and underscores, of at most 64, since it becomes the
// name of a folder and a word of the bus's subjects; other characters of the
// name become dashes.
func ID(name, requestID string) string {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	sum := sha256.Sum256([]byte(requestID))
	word := strings.Map(func(r rune) rune {
		if r == '_' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') {
			return r
		}
		return '-'
	}, name)
	id := []byte(word[:min(len(word), 57)] + "-")
	for _, b := range sum[:6] {
		id = append(id, digits[b%32])
	}
	return string(id)
}

// read takes the keys of a mapping whose own path is prefix, without its last
// dot. key is the node to point at when body is no mapping.
func (f *File) read(prefix string, body, key ast.Node) error {
	entries, ok := entriesOf(body)
	if !ok {
		lines := "key: value lines (" + strings.Join(children(prefix), ", ") + ")"
		if shorthands[strings.TrimSuffix(prefix, ".")] != "" {
			return f.wrong(body, "%s: want text, or %s; if it is meant as text put it in quotes", describe(prefix, body), lines)
		}
		return f.wrong(key, "%s: want %s", describe(prefix, body), lines)
	}
	seen := map[string]ast.Node{}
	for _, e := range entries {
		name, ok := e.Key.(*ast.StringNode)
		if !ok {
			return f.wrong(e.Key, "%s is no key of a job file", strings.TrimSpace(e.Key.String()))
		}
		if first := seen[name.Value]; first != nil {
			return f.wrong(name, "key %q is given twice, first in line %d: remove one", prefix+name.Value, first.GetToken().Position.Line)
		}
		seen[name.Value] = name
		if err := f.readEntry(prefix, name, e.Value); err != nil {
			return err
		}
	}
	if at := seen["layers"]; prefix == "model." && at != nil && seen["name"] != nil {
		return f.wrong(at, "model has a name and layers: leave one of them out")
	}
	return nil
}

// within is an error at a node that is a part of a key's value.
type within struct {
	node ast.Node
	error
}

func (f *File) readEntry(prefix string, name *ast.StringNode, value ast.Node) error {
	path := prefix + name.Value
	k := lookup(path)
	if k == nil && group(path) == "" {
		return f.wrong(name, "%w", unknown(path, prefix))
	}
	if value == nil || value.Type() == ast.NullType {
		return f.wrong(name, "%s has no value: give one, or leave the key out for its default", path)
	}
	if k != nil {
		f.note(path, value)
		err, at := k.set(f, value), within{node: value}
		if errors.As(err, &at) {
			err = at.error
		}
		if err != nil {
			return f.wrong(at.node, "%w", err)
		}
		return nil
	}
	if text, ok := value.(*ast.StringNode); ok && shorthands[path] != "" {
		f.note(path, value)
		f.setShort(lookup(shorthands[path]), text.Value)
		return nil
	}
	f.note(path, name)
	return f.read(path+".", value, name)
}

// setShort takes a text that stands for a whole group, such as data: digits.
func (f *File) setShort(k *key, value string) {
	switch k.path {
	case "data.name":
		f.Data = Source{}
	case "schedule.type":
		f.Schedule = Default().Schedule
	}
	k.setText(f, value)
}

// note remembers where the value of path stands.
func (f *File) note(path string, n ast.Node) {
	if f.origin != nil {
		f.origin.at[path] = position(f.origin.filename, n.GetToken())
	}
}

// wrong is an error at a node of the file, or a bare one for an override.
func (f *File) wrong(n ast.Node, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if f.origin == nil {
		return err
	}
	return fmt.Errorf("%s: %w", position(f.origin.filename, n.GetToken()), err)
}
