package job

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files of this package anew")

// archives are job files and what Parse says about them.
var archives = []string{"testdata/errors.txtar", "testdata/layers.txtar", "testdata/input.txtar"}

// TestErrorMessages holds what a person sees who makes a mistake: each case of
// the archives in testdata is a job file, the overrides in its comment lines that
// begin with "# set ", and what Parse says about them.
func TestErrorMessages(t *testing.T) {
	for _, path := range archives {
		t.Run(path, func(t *testing.T) { testErrorMessages(t, path) })
	}
}

func testErrorMessages(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(archive.Files); i += 2 {
		in, want := archive.Files[i], &archive.Files[i+1]
		got := "no error\n"
		if f, err := Parse(in.Data, "lenet.yaml", overridesOf(in.Data)...); err != nil {
			got = err.Error() + "\n"
		} else {
			got += string(f.YAML())
		}
		if *update {
			want.Name, want.Data = "says", []byte(got)
		} else if got != string(want.Data) {
			t.Errorf("%s:\n%s\nsays %s want %s", in.Name, in.Data, got, want.Data)
		}
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func overridesOf(src []byte) (overrides []string) {
	for line := range strings.Lines(string(src)) {
		if o, ok := strings.CutPrefix(strings.TrimSpace(line), "# set "); ok {
			overrides = append(overrides, o)
		}
	}
	return overrides
}

const lenet = `name: first
model: lenet-relu
data: {name: mnist, dir: "/a b/c"}
seed: 0
optimizer:
  momentum: 0
  lr: 0.05
`

func TestParseFillsDefaults(t *testing.T) {
	f, err := Parse([]byte(lenet), "lenet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Name, want.Model, want.Data = "first", "lenet-relu", Source{Name: "mnist", Dir: "/a b/c"}
	want.Seed, want.Optimizer.LR = 0, 0.05
	want.origin = f.origin
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got %+v\nwant %+v", f, want)
	}
}

func TestNameFollowsModel(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"model: lenet\ndata: digits", "vgg11"},
		{"model: lenet\nname: mine\ndata: digits", "mine"},
		{"name: mine\nmodel: lenet\ndata: digits", "mine"},
	} {
		f, err := Parse([]byte(c.src), "x.yaml", "model=vgg11")
		if err != nil || f.Name != c.want || f.Model != "vgg11" {
			t.Errorf("%q: name %q, model %q, %v; want name %q", c.src, f.Name, f.Model, err, c.want)
		}
	}
}

func TestAt(t *testing.T) {
	f, err := Parse([]byte(lenet), "lenet.yaml", "optimizer.lr=0.2")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"model": "lenet.yaml:2:8", "data.name": "lenet.yaml:3:14", "data": "lenet.yaml:3:1", "data.dir": "lenet.yaml:3:26",
		"seed": "lenet.yaml:4:7", "optimizer.lr": "optimizer.lr=0.2", "optimizer.momentum": "lenet.yaml:6:13",
		"epochs": "lenet.yaml",
	} {
		if got := f.At(path); got != want {
			t.Errorf("At(%s) = %q, want %q", path, got, want)
		}
	}
	d := Default()
	if err := d.Errorf("model", "no"); err.Error() != "no" {
		t.Errorf("a file that was never one says %q", err)
	}
}

func TestSet(t *testing.T) {
	f := Default()
	for _, o := range []string{
		"model=lenet", "data=digits", "optimizer.nesterov=true", "optimizer.momentum=0.9", "optimizer.lr=1e-3",
		"workers={min: 2, max: 4}", "seed=18446744073709551615", "data.dir=/a: #b", "name=7", "epochs = 10",
	} {
		if err := f.Set(o); err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
	want := Default()
	want.Name, want.Model, want.Data = "7", "lenet", Source{Name: "digits", Dir: "/a: #b"}
	want.Epochs, want.Seed, want.Workers = 10, 1<<64-1, Workers{2, 4}
	want.Optimizer = Optimizer{LR: 1e-3, Momentum: 0.9, Nesterov: true, DecayBiases: true}
	want.origin = f.origin
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got %+v\nwant %+v", f, want)
	}
	if err := f.Check(); err != nil {
		t.Error(err)
	}
	for o, want := range map[string]string{
		"optimizer.lr=0":             "optimizer.lr=0: optimizer.lr 0: want a finite number above 0",
		"optimizer.rl=1":             `optimizer.rl=1: unknown key "optimizer.rl", did you mean "optimizer.lr"?`,
		"lr=1":                       `lr=1: unknown key "lr", did you mean "optimizer.lr"?`,
		"epochs=many":                `epochs=many: epochs is "many": want a whole number`,
		"epochs=":                    `epochs=: "" is no value`,
		"epochs":                     `"epochs" sets nothing: write KEY=VALUE, for example optimizer.lr=0.05`,
		"workers=4":                  "workers=4: workers is 4: want key: value lines (min, max)",
		"workers={min: 0}":           "workers={min: 0}: workers.min 0: want 1 to 65536",
		"optimizer={lr: 1, lrr: 2}":  `optimizer={lr: 1, lrr: 2}: unknown key "optimizer.lrr", did you mean "optimizer.lr"?`,
		"micro_batches=12":           "micro_batches=12: micro_batches 12: want a power of two from 1 to 1024",
		"optimizer.nesterov=perhaps": `optimizer.nesterov=perhaps: optimizer.nesterov is "perhaps": want true or false`,
		"data=":                      "data=: no data set is named: add a line such as data: digits, or data: {name: mnist, dir: PATH}",
	} {
		if err := f.Set(o); err == nil || err.Error() != want {
			t.Errorf("Set(%s): %v\nwant %s", o, err, want)
		}
	}
	want.origin = f.origin
	if !reflect.DeepEqual(f, want) {
		t.Errorf("an override that is refused changed the file to %+v", f)
	}
}

// Every file that passes Check is written so that it reads back the same.
func TestYAMLReadsBack(t *testing.T) {
	text := rapid.StringOf(rapid.RuneFrom([]rune("abenultrsyof019 .:-_#{}[]&*!|>'\"%@`~/,=\\é"))).Filter(func(s string) bool { return s != "" && len(s) < 60 })
	rapid.Check(t, func(t *rapid.T) {
		f := Default()
		f.Model = text.Draw(t, "model")
		f.Name, f.Auxiliary = f.Model, rapid.Bool().Draw(t, "auxiliary")
		if rapid.Bool().Draw(t, "listed") {
			f.setModel(Listed, rapid.SliceOfN(rapid.Custom(drawLayer), 1, 5).Draw(t, "layers"))
		}
		f.Data = Source{text.Draw(t, "data"), rapid.OneOf(rapid.Just(""), text).Draw(t, "dir"), rapid.IntRange(0, 1<<20).Draw(t, "window")}
		f.Epochs, f.Batch = rapid.IntRange(1, maxCount).Draw(t, "epochs"), rapid.IntRange(1, maxCount).Draw(t, "batch")
		f.Seed = rapid.Uint64().Draw(t, "seed")
		f.Optimizer.LR = rapid.Float32Range(1e-45, 3e38).Draw(t, "lr")
		f.Optimizer.Momentum = rapid.Float32Range(1e-45, 0.999).Draw(t, "momentum")
		f.Optimizer.WeightDecay = rapid.Float32Range(0, 10).Draw(t, "decay")
		f.Optimizer.Nesterov = rapid.Bool().Draw(t, "nesterov")
		f.Optimizer.DecayBiases = rapid.Bool().Draw(t, "decay biases")
		f.Optimizer.ClipNorm = rapid.Float32Range(0, 3e38).Draw(t, "clip")
		f.Schedule = drawSchedule(t, f.Epochs, f.Batch)
		f.Input = Input{
			Height: rapid.IntRange(1, maxInputSide).Draw(t, "height"), Width: rapid.IntRange(1, maxInputSide).Draw(t, "width"),
			Pad: rapid.IntRange(0, maxPad).Draw(t, "pad"), Normalize: NormalizeRange, Low: rapid.Float32().Draw(t, "low"), High: 1,
		}
		f.Augment = Augment{Flip: rapid.Bool().Draw(t, "flip"), Shift: rapid.IntRange(0, maxPad).Draw(t, "shift"), Contrast: rapid.Float32Range(0, 4).Draw(t, "contrast")}
		if err := f.Check(); err != nil {
			t.Skip(err) // low is high
		}
		got, err := Parse(f.YAML(), "x.yaml")
		if err != nil {
			t.Fatalf("%v\n%s", err, f.YAML())
		}
		got.origin = nil
		if !reflect.DeepEqual(got, f) {
			t.Fatalf("wrote\n%s\nread %+v\nwant %+v", f.YAML(), got, f)
		}
	})
}

// drawLayer draws a layer of any type with attributes that pass Check.
func drawLayer(t *rapid.T) Layer {
	kind := rapid.SampledFrom(layerTypes).Draw(t, "type")
	l := Layer{Type: kind.name}
	for _, a := range kind.attributes {
		switch v := a.attributeValue.(type) {
		case wholeValue:
			*v.field(&l) = rapid.IntRange(v.low, v.high).Draw(t, a.name)
		case realValue:
			*v.field(&l) = rapid.Float32Range(0, 20).Filter(v.fine).Draw(t, a.name)
		case truthValue:
			*v.field(&l) = rapid.Bool().Draw(t, a.name)
		case tableValue:
			if l.Out = min(l.Out, 20); rapid.Bool().Draw(t, "has a table") {
				l.Table = rapid.StringMatching(fmt.Sprintf(`[X.]{%d}(/[X.]{%[1]d}){0,3}`, l.Out)).Draw(t, a.name)
			}
		}
	}
	return l
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(lenet))
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := Parse(src, "x.yaml")
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		again, err := Parse(file.YAML(), "x.yaml")
		if err != nil || !bytes.Equal(again.YAML(), file.YAML()) {
			t.Errorf("does not read back: %v\n%s", err, file.YAML())
		}
	})
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		m, workers int
		want       string
	}{
		{8, 1, ""},
		{8, 2, ""},
		{8, 3, ""},
		{8, 4, ""},
		{8, 5, "efficiency 0.80; use 4 workers"},
		{8, 6, "efficiency 0.67; use 4 workers"},
		{8, 9, ""},
		{8, 16, "efficiency 0.50; use 8 workers"},
		{1, 2, "efficiency 0.50; use 1 worker"},
	} {
		f := Default()
		f.MicroBatches = c.m
		got := fmt.Sprint(f.Warnings(c.workers))
		if (c.want == "") != (got == "[]") || !strings.Contains(got, c.want) {
			t.Errorf("M=%d, %d workers: %s, want %q", c.m, c.workers, got, c.want)
		}
	}
}

// Audits need a second worker.
func TestAuditWarnings(t *testing.T) {
	for _, c := range []struct {
		audit   float32
		workers int
		want    string
	}{
		{0, 1, "[]"},
		{0.01, 2, "[]"},
		{1, 0, "[]"},
		{0.01, 1, "[a worker alone audits nothing: start another one, or leave out audit]"},
		{1, 1, "[audit: 1 has every block computed by two workers: the job waits until a second one is there]"},
	} {
		f := Default()
		f.Audit = c.audit
		if got := fmt.Sprint(f.Warnings(c.workers)); got != c.want {
			t.Errorf("audit %v, %d workers: %s, want %s", c.audit, c.workers, got, c.want)
		}
	}
}

// audit is written where it is not 0, read back, and no part of the recipe.
func TestAuditIsNoPartOfTheRecipe(t *testing.T) {
	const plain = "model: lenet-relu\ndata: digits\n"
	f, err := Parse([]byte(plain), "")
	if err != nil || strings.Contains(string(f.YAML()), "audit") {
		t.Fatalf("without audit: %v\n%s", err, f.YAML())
	}
	with, err := Parse([]byte(plain+"audit: 0.01\n"), "")
	if err != nil || with.Audit != 0.01 {
		t.Fatalf("audit %v, %v", with.Audit, err)
	}
	again, err := Parse(with.YAML(), "")
	if err != nil || again.Audit != with.Audit {
		t.Errorf("read back as %v, %v", again.Audit, err)
	}
	if f.Recipe(Data{}).Hash() != with.Recipe(Data{}).Hash() {
		t.Error("audit changes the recipe")
	}
	for _, bad := range []string{"-0.1", "1.5", "nan", "yes"} {
		if _, err := Parse([]byte(plain+"audit: "+bad+"\n"), ""); err == nil {
			t.Errorf("audit: %s is taken", bad)
		}
	}
}

func TestID(t *testing.T) {
	a, b := ID("lenet", "request-1234567890"), ID("lenet", "request-1234567891")
	if a != "lenet-2s29kp" || a == b || a != ID("lenet", "request-1234567890") {
		t.Errorf("IDs %s, %s", a, b)
	}
}

// A key that the data set rules out is named with its position.
func TestFits(t *testing.T) {
	d := sound().Data
	for text, want := range map[string]string{
		"augment: {flip: true, crop: 27}": "",
		"augment: {crop: 28}":             "x.yaml:3:17: augment.crop 28 would move images of 28×28 out of sight: give less than 28",
		"augment: {saturation: 0.2}":      "x.yaml:3:23: augment.saturation 0.2 needs the 3 channels of colour images, those of digits have 1: leave it out",
	} {
		f, err := Parse([]byte("model: a\ndata: digits\n"+text), "x.yaml")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := f.Fits(d); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
