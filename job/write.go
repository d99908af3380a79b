package job

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// YAML writes the resolved file: every key that applies, in one order, so that
// equal files give equal bytes and Parse gives f back.
func (f File) YAML() []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, format+"\n", args...)
	}
	line("name: %s", quoted(f.Name))
	f.writeModel(line)
	f.writeData(line)
	f.writeInput(line)
	line("epochs: %d", f.Epochs)
	line("batch: %d", f.Batch)
	line("micro_batches: %d", f.MicroBatches)
	line("seed: %d", f.Seed)
	line("algorithm: %s", quoted(f.Algorithm))
	line("loss: %s", quoted(f.Loss))
	o := f.Optimizer
	line("optimizer:\n  lr: %s\n  momentum: %s\n  nesterov: %t\n  weight_decay: %s\n  decay_biases: %t\n  clip_norm: %s",
		short(o.LR), short(o.Momentum), o.Nesterov, short(o.WeightDecay), o.DecayBiases, short(o.ClipNorm))
	f.Schedule.write(line)
	if f.Wire != (Wire{Format: WireFloat32}) {
		line("wire:\n  format: %s\n  unit: %d", f.Wire.Format, f.Wire.Unit)
	}
	if f.SimulateComputeMS != 0 {
		line("simulate_compute_ms: %d", f.SimulateComputeMS)
	}
	line("workers:\n  min: %d\n  max: %d", f.Workers.Min, f.Workers.Max)
	line("checkpoint:\n  every: %d\n  keep: %d", f.Checkpoint.Every, f.Checkpoint.Keep)
	if f.Audit != 0 { // few jobs have it
		line("audit: %s", short(f.Audit))
	}
	return b.Bytes()
}

// writeData writes the set's name alone where that says all of it.
func (f File) writeData(line func(format string, args ...any)) {
	d := f.Data
	if d == (Source{Name: d.Name}) {
		line("data: %s", quoted(d.Name))
		return
	}
	line("data:\n  name: %s", quoted(d.Name))
	if d.Dir != "" {
		line("  dir: %s", quoted(d.Dir))
	}
	line("  window: %d", d.Window)
}

// writeModel writes the model's name alone where that says all of it.
func (f File) writeModel(line func(format string, args ...any)) {
	if !f.Auxiliary && len(f.Layers) == 0 {
		line("model: %s", quoted(f.Model))
		return
	}
	line("model:")
	if len(f.Layers) == 0 {
		line("  name: %s", quoted(f.Model))
	}
	line("  auxiliary: %t", f.Auxiliary)
	if len(f.Layers) > 0 {
		line("  layers:")
	}
	for _, l := range f.Layers {
		line("    - %v", l)
	}
}

// String writes a layer as a job file has it.
func (l Layer) String() string {
	text := "{type: " + l.Type
	t, _ := typeOf(l.Type) // an unknown one has no attributes
	for _, a := range t.attributes {
		if value := a.text(&l); value != "" {
			text += ", " + a.name + ": " + value
		}
	}
	return text + "}"
}

// writeInput writes the keys of input and augment that are not at their defaults:
// most jobs have none.
func (f File) writeInput(line func(string, ...any)) {
	if i := f.Input; i != (Input{Normalize: NormalizeAuto}) {
		line("input:\n  resize: %s\n  pad: %d\n  normalize: %s", i.resize(), i.Pad, i.Normalize)
		if i.Normalize == NormalizeRange {
			line("  low: %s\n  high: %s", short(i.Low), short(i.High))
		}
	}
	if a := f.Augment; a != (Augment{}) {
		line("augment:\n  flip: %t\n  crop: %d\n  shift: %d\n  brightness: %s\n  contrast: %s\n  saturation: %s",
			a.Flip, a.Crop, a.Shift, short(a.Brightness), short(a.Contrast), short(a.Saturation))
	}
}

// short is the shortest decimal that reads back as the same float32.
func short(v float32) string { return strconv.FormatFloat(float64(v), 'g', -1, 32) }

var (
	plain    = regexp.MustCompile(`^[a-zA-Z/][a-zA-Z0-9._/-]*$`)
	reserved = map[string]bool{"true": true, "false": true, "null": true, "yes": true, "no": true, "on": true, "off": true, "y": true, "n": true}
)

// quoted writes a text as YAML: bare where no reader could take it for anything
// else, otherwise as a JSON string, which YAML includes.
func quoted(s string) string {
	if plain.MatchString(s) && !reserved[strings.ToLower(s)] {
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}
