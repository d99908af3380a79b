package job

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// sound is a recipe that passes Check.
func sound() Recipe {
	f := Default()
	f.Model = "lenet"
	return f.Recipe(Data{
		Name: "digits", Manifest: strings.Repeat("0a", 32),
		Train: 60000, Test: 10000, Classes: 10, Channels: 1, Height: 28, Width: 28,
	})
}

// soundList is one with a list of layers.
func soundList() Recipe {
	r := sound()
	r.Model = Listed
	r.Layers = []Layer{
		{Type: "conv", Out: 6, Kernel: 5, Stride: 1, Padding: 2, Groups: 1, Table: "XX.XXX"},
		{Type: "subsample", Max: true},
		{Type: "lrn", Size: 5, Alpha: 1e-4, Beta: 0.75, K: 2},
		{Type: "inception", Conv1: 1, Reduce3: 2, Conv3: 3, Reduce5: 4, Conv5: 5, Proj: 6},
		{Type: "dropout", Rate: 0.5},
	}
	return r
}

// A list has one canonical form, and a recipe that was changed on the way is no
// recipe.
func TestListedRecipe(t *testing.T) {
	r := soundList()
	const layers = `"layers":[{"type":"conv","out":6,"kernel":5,"stride":1,"padding":2,"groups":1,"table":"XX.XXX"},{"type":"subsample","max":true},` +
		`{"type":"lrn","size":5,"alpha":0.0001,"beta":0.75,"k":2},{"type":"inception","1x1":1,"3x3_reduce":2,"3x3":3,"5x5_reduce":4,"5x5":5,"pool_proj":6},{"type":"dropout","rate":0.5}]`
	text := string(r.Canonical())
	if !strings.Contains(text, layers) {
		t.Errorf("canonical form\n%s\nwant in it\n%s", text, layers)
	}
	if back, err := ParseRecipe([]byte(text)); err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("reads back as %+v, %v", back, err)
	}
	for from, to := range map[string]string{
		`"stride":1,`:      ``, // a default that is not written out
		`"padding":2,`:     `"padding":-2,`,
		`"groups":1,`:      `"groups":1,"dense":1,`, // no attribute at all
		`"rate":0.5`:       `"rate":0.5,"size":3`,   // another type's
		`"dropout"`:        `"Dropout"`,
		`"out":6`:          `"out":1000000`,
		`"XX.XXX"`:         `"XX.XX"`, // not as many as outputs
		`,"rate":0.5}`:     `,"rate":0.5},null`,
		`"table":"XX.XXX"`: `"table":["XX.XXX"]`,
	} {
		changed := strings.Replace(text, from, to, 1)
		if _, err := ParseRecipe([]byte(changed)); changed == text || err == nil {
			t.Errorf("%s instead of %s is taken", to, from)
		}
	}
}

// The hash names every result ever published: it may change with
// ArithmeticVersion alone.
func TestRecipeHash(t *testing.T) {
	const canonical = `{"model":"lenet","auxiliary":false,"data":{"name":"digits","manifest":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","train":60000,"test":10000,"classes":10,"channels":1,"height":28,"width":28},"window":0,"input":{"height":0,"width":0,"pad":0,"normalize":"auto","low":0,"high":0},"augment":{"flip":false,"crop":0,"shift":0,"brightness":0,"contrast":0,"saturation":0},"epochs":3,"batch":256,"micro_batches":8,"seed":1,"algorithm":"auto","loss":"auto","optimizer":{"lr":0.2,"momentum":0,"nesterov":false,"weight_decay":0,"decay_biases":true,"clip_norm":0},"schedule":{"type":"constant","every":0,"gamma":0.1,"final_lr":0,"warmup_epochs":0,"warmup_steps":0,"scale_batch":0},"wire":"fp32","arithmetic_version":3}`
	const hash = "42659c72abed0c1a004dc3bdb83d333a3d3b730eaec82919d0fcf25d52536fef"
	r := sound()
	if got := string(r.Canonical()); got != canonical {
		t.Errorf("canonical form\n%s\nwant\n%s", got, canonical)
	}
	if got := r.Hash().String(); got != hash {
		t.Errorf("hash %s, want %s", got, hash)
	}
	back, err := ParseRecipe(r.Canonical())
	if err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("reads back as %+v, %v", back, err)
	}
	spaced := strings.Replace(canonical, ":", ": ", 1)
	if _, err := ParseRecipe([]byte(spaced)); err == nil {
		t.Error("a recipe with a space has another hash and was accepted")
	}
}

// What the job file says besides arithmetic must not reach the recipe.
func TestRecipeLeavesOutWhatCannotChangeTheModel(t *testing.T) {
	f := Default()
	f.Model, f.Data.Name = "lenet", "digits"
	d := sound().Data
	hash := f.Recipe(d).Hash()
	for _, o := range []string{"name=other", "data.dir=/elsewhere", "workers={min: 2, max: 3}", "checkpoint={every: 5, keep: 9}"} {
		if err := f.Set(o); err != nil {
			t.Fatal(err)
		}
		if f.Recipe(d).Hash() != hash {
			t.Errorf("%s changes the recipe", o)
		}
	}
	for _, o := range []string{
		"model=vgg11", "model.auxiliary=true", "epochs=9", "batch=64", "micro_batches=16", "seed=2", "algorithm=direct", "loss=squared-distance", "optimizer.lr=0.3", "optimizer.momentum=0.5", "optimizer.nesterov=true", "optimizer.weight_decay=0.1", "optimizer.decay_biases=false", "optimizer.clip_norm=1", "schedule={type: step, every: 2}", "schedule.gamma=0.5", "schedule.warmup_steps=3", "schedule.scale_batch=128", "schedule=cosine", "schedule.final_lr=0.01", "schedule.warmup_epochs=1", "schedule.milestones=[1]",
		"input.resize=32", "input.pad=1", "input={normalize: range, high: 2}", "input.low=1", "augment.flip=true", "augment.crop=1", "augment={crop: 0, shift: 1}",
		"augment.brightness=0.1", "augment.contrast=0.1", "augment.saturation=0.1",
	} {
		before := f.Recipe(d).Hash()
		if err := f.Set(o); err != nil {
			t.Fatal(err)
		}
		if f.Recipe(d).Hash() == before {
			t.Errorf("%s does not change the recipe", o)
		}
	}
}

func TestRecipeCheck(t *testing.T) {
	inf := float32(math.Inf(1))
	for name, c := range map[string]struct {
		spoil func(*Recipe)
		want  string
	}{
		"arithmetic":     {func(r *Recipe) { r.ArithmeticVersion++ }, "same release"},
		"wire":           {func(r *Recipe) { r.Wire = "fp16" }, "wire format"},
		"wire unit":      {func(r *Recipe) { r.Wire, r.WireUnit = WireBFloat16, 3 }, "power of two"},
		"wide wire unit": {func(r *Recipe) { r.Wire, r.WireUnit = WireBFloat16, 16 }, "up to the 8"},
		"idle wire unit": {func(r *Recipe) { r.WireUnit = 1 }, "leave it out"},
		"simulated":      {func(r *Recipe) { r.SimulateComputeMS = 10001 }, "simulate_compute_ms"},
		"model":          {func(r *Recipe) { r.Model = "" }, "model"},
		"model's bytes":  {func(r *Recipe) { r.Model = "a\x00b" }, "model"},
		"a list's name":  {func(r *Recipe) { r.Model = Listed }, "list its layers"},
		"two networks":   {func(r *Recipe) { r.Layers = []Layer{{Type: "relu"}} }, "list of layers of its own"},
		"layers":         {func(r *Recipe) { r.Model, r.Layers = Listed, make([]Layer, 1001) }, "1001 layers: want 1 to 1000"},
		"layer type":     {func(r *Recipe) { r.Model, r.Layers = Listed, []Layer{{Type: "rel"}} }, `layer 0 (rel): unknown type "rel", did you mean "relu"?`},
		"layer's kernel": {func(r *Recipe) { r.Model, r.Layers = Listed, []Layer{{Type: "maxpool", Kernel: 1 << 20, Stride: 1}} }, "kernel 1048576: want 1 to 4096"},
		"layer's stride": {func(r *Recipe) { r.Model, r.Layers = Listed, []Layer{{Type: "maxpool", Kernel: 2}} }, "stride 0: want 1 to 4096"},
		"layer's rate":   {func(r *Recipe) { r.Model, r.Layers = Listed, []Layer{{Type: "dropout", Rate: 1}} }, "rate 1: want a finite number from 0 to below 1"},
		"other's rate":   {func(r *Recipe) { r.Model, r.Layers = Listed, []Layer{{Type: "relu", Rate: 0.5}} }, "attributes of other types"},
		"epochs":         {func(r *Recipe) { r.Epochs = 0 }, "epochs"},
		"epochs above":   {func(r *Recipe) { r.Epochs = maxCount + 1 }, "epochs"},
		"batch":          {func(r *Recipe) { r.Batch = -1 }, "batches"},
		"micro-batches":  {func(r *Recipe) { r.MicroBatches = 3 }, "power of two"},
		"M above":        {func(r *Recipe) { r.MicroBatches = 2048 }, "power of two"},
		"algorithm":      {func(r *Recipe) { r.Algorithm = "fast" }, "want auto"},
		"window":         {func(r *Recipe) { r.Window = -1 }, "window of -1 shards"},
		"window above":   {func(r *Recipe) { r.Window = 1 << 21 }, "window of 2097152 shards"},
		"loss":           {func(r *Recipe) { r.Loss = "hinge" }, "one of cross-entropy"},
		"steps":          {func(r *Recipe) { r.Epochs, r.Batch, r.Data.Train = maxCount, 1, 1<<20 }, "raise the batch"},
		"data name":      {func(r *Recipe) { r.Data.Name = strings.Repeat("x", 64) }, "data set"},
		"manifest":       {func(r *Recipe) { r.Data.Manifest = "00" }, "64 hex digits"},
		"manifest upper": {func(r *Recipe) { r.Data.Manifest = strings.Repeat("0A", 32) }, "lower case"},
		"train":          {func(r *Recipe) { r.Data.Train = 0 }, "training"},
		"test":           {func(r *Recipe) { r.Data.Test = 0 }, "test"},
		"classes":        {func(r *Recipe) { r.Data.Classes = 1 }, "classes"},
		"pixels":         {func(r *Recipe) { r.Data.Height, r.Data.Width = 1<<40, 1<<40 }, "values"},
		"channels":       {func(r *Recipe) { r.Data.Channels = 0 }, "values"},
		"input":          {func(r *Recipe) { r.Input.Height, r.Input.Width = 1<<40, 1<<40 }, "sides of 1"},
		"one side":       {func(r *Recipe) { r.Input.Height = 32 }, "sides of 1"},
		"input's values": {func(r *Recipe) { r.Input.Height, r.Input.Width, r.Data.Channels = 4096, 4096, 5 }, "at most"},
		"pad":            {func(r *Recipe) { r.Input.Pad = -1 }, "input.pad"},
		"normalize":      {func(r *Recipe) { r.Input.Normalize = "" }, "input.normalize"},
		"low":            {func(r *Recipe) { r.Input.Low = 1 }, "range alone"},
		"range":          {func(r *Recipe) { r.Input = Input{Normalize: NormalizeRange, High: inf} }, "input.high"},
		"crop":           {func(r *Recipe) { r.Augment.Crop = 28 }, "out of sight"},
		"shift":          {func(r *Recipe) { r.Augment.Shift = 28 }, "out of sight"},
		"crop and shift": {func(r *Recipe) { r.Augment.Crop, r.Augment.Shift = 1, 1 }, "one of them"},
		"brightness":     {func(r *Recipe) { r.Augment.Brightness = inf }, "brightness"},
		"contrast":       {func(r *Recipe) { r.Augment.Contrast, r.Data.Channels = 1, 2 }, "1 or 3 channels"},
		"saturation":     {func(r *Recipe) { r.Augment.Saturation = 1 }, "3 channels"},
		"lr":             {func(r *Recipe) { r.Optimizer.LR = inf }, "lr"},
		"momentum":       {func(r *Recipe) { r.Optimizer.Momentum = 1 }, "momentum"},
		"decay":          {func(r *Recipe) { r.Optimizer.WeightDecay = -inf }, "weight_decay"},
		"nesterov":       {func(r *Recipe) { r.Optimizer.Nesterov = true }, "nesterov"},
		"clip":           {func(r *Recipe) { r.Optimizer.ClipNorm = -1 }, "clip_norm"},
		"schedule":       {func(r *Recipe) { r.Schedule.Type = "" }, "schedule.type"},
		"no drop":        {func(r *Recipe) { r.Schedule.Type = ScheduleStep }, "give either"},
		"both drops":     {func(r *Recipe) { r.Schedule = Schedule{Type: ScheduleStep, Gamma: 1, Every: 1, Milestones: []int{1}} }, "give either"},
		"milestones":     {func(r *Recipe) { r.Schedule = Schedule{Type: ScheduleStep, Gamma: 1, Milestones: []int{2, 2}} }, "later than"},
		"milestone 0":    {func(r *Recipe) { r.Schedule = Schedule{Type: ScheduleStep, Gamma: 1, Milestones: []int{0}} }, "from 1 on"},
		"no milestones":  {func(r *Recipe) { r.Schedule.Milestones = []int{} }, "leave it out"},
		"a long list":    {func(r *Recipe) { r.Schedule.Milestones = make([]int, maxMilestones+1) }, "want 1 to"},
		"every":          {func(r *Recipe) { r.Schedule.Every = -1 }, "schedule.every"},
		"gamma":          {func(r *Recipe) { r.Schedule = Schedule{Type: ScheduleStep, Gamma: 1.5, Every: 1} }, "gamma"},
		"idle gamma":     {func(r *Recipe) { r.Schedule.Gamma = 0.5 }, "for type step"},
		"final rate":     {func(r *Recipe) { r.Schedule.Type, r.Schedule.FinalLR = ScheduleCosine, inf }, "final_lr"},
		"idle rate":      {func(r *Recipe) { r.Schedule.FinalLR = 0.5 }, "for type cosine"},
		"warm-up":        {func(r *Recipe) { r.Schedule.WarmupEpochs = r.Epochs }, "after the warm-up"},
		"warm-up steps":  {func(r *Recipe) { r.Schedule.WarmupSteps = 3 * 235 }, "after the warm-up"},
		"two warm-ups":   {func(r *Recipe) { r.Schedule.WarmupSteps, r.Schedule.WarmupEpochs = 1, 1 }, "one of them"},
		"scale":          {func(r *Recipe) { r.Schedule.ScaleBatch = -1 }, "scale_batch"},
		"scaled to inf":  {func(r *Recipe) { r.Optimizer.LR, r.Schedule.ScaleBatch = 3e38, 1 }, "near the batch"},
		"scaled to 0":    {func(r *Recipe) { r.Optimizer.LR, r.Batch, r.Schedule.ScaleBatch = 1e-45, 1, 1000 }, "near the batch"},
	} {
		r := sound()
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		c.spoil(&r)
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something about %q", name, err, c.want)
		}
	}
}

func FuzzParseRecipe(f *testing.F) {
	f.Add(sound().Canonical())
	f.Add(soundList().Canonical())
	f.Add([]byte(`{"epochs":1e3}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecipe(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Canonical(), b) {
			t.Errorf("%s\nreads as\n%s", b, r.Canonical())
		}
		s := r.Sequence()
		last := s.Len() - 1
		for _, t0 := range []int{0, last / 2, last} {
			if lr := r.LearningRate(t0); !(lr >= 0) || !finite(lr) {
				t.Errorf("%s: learning rate %g at step %d", b, lr, t0)
			}
		}
		if last < 1 || !s.At(last).Evaluation || !s.DigestDue(s.Len()) {
			t.Errorf("%+v has %d steps", s, s.Len())
		}
		if _, high := s.Positions(last, s.MicroBatches-1); high != s.Test {
			t.Errorf("%+v: the evaluation ends at %d", s, high)
		}
		if _, high := s.Positions(last-1, s.MicroBatches-1); high != s.Train {
			t.Errorf("%+v: the last training step ends at %d", s, high)
		}
	})
}

func drawSequence(t *rapid.T) Sequence {
	return Sequence{
		Train: rapid.IntRange(1, 300).Draw(t, "train"), Test: rapid.IntRange(1, 60).Draw(t, "test"),
		Epochs: rapid.IntRange(1, 4).Draw(t, "epochs"), Batch: rapid.IntRange(1, 400).Draw(t, "batch"),
		MicroBatches: 1 << rapid.IntRange(0, 6).Draw(t, "log2 M"),
	}
}

// I5: every position of an epoch, and every test example, is taken exactly once
// and in order, whatever N, B and M.
func TestEveryExampleOnceAnEpoch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSequence(t)
		train, test, training := 0, 0, 0
		for i := range s.Len() {
			step := s.At(i)
			if got := s.TrainingBefore(i); got != training {
				t.Fatalf("%d training steps before step %d, want %d", got, i, training)
			}
			next := &train
			if step.Evaluation {
				next = &test
			} else {
				training++
			}
			from := *next
			for m := range s.MicroBatches {
				low, high := s.Positions(i, m)
				if low != *next || high < low {
					t.Fatalf("step %d micro-batch %d takes [%d,%d), want it to begin at %d", i, m, low, high, *next)
				}
				*next = high
			}
			if *next-from != step.Examples || step.Examples < 1 || !step.Evaluation && step.Examples > s.Batch {
				t.Fatalf("step %d says %d examples and takes %d", i, step.Examples, *next-from)
			}
			if step.Evaluation {
				if train != s.Train || test != s.Test {
					t.Fatalf("epoch %d took %d of %d training and %d of %d test examples", step.Epoch, train, s.Train, test, s.Test)
				}
				train, test = 0, 0
			}
		}
		if training != s.Epochs*s.TrainingPerEpoch() {
			t.Fatalf("%d training steps", training)
		}
	})
}

// The largest recipe that Check lets through stays inside an int.
func TestPositionsDoNotOverflow(t *testing.T) {
	r := sound()
	r.Data.Train, r.Data.Test, r.Batch, r.MicroBatches, r.Epochs = maxCount, maxCount, maxCount, maxMicroBatches, maxCount/2
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	s := r.Sequence()
	if low, high := s.Positions(s.Len()-1, maxMicroBatches-1); low != maxCount-maxCount/maxMicroBatches-1 || high != maxCount {
		t.Errorf("the last micro-batch takes [%d,%d)", low, high)
	}
}

func TestCheckpointDue(t *testing.T) {
	s := Sequence{Train: 10, Test: 2, Epochs: 3, Batch: 3, MicroBatches: 1} // 4 training steps and an evaluation
	for every, want := range map[int][]int{
		0:   {5, 10, 15},
		1:   {1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 15},
		4:   {4, 9, 14, 15},
		6:   {7, 14, 15},
		100: {15},
	} {
		var got []int
		for i := range s.Len() + 1 {
			if s.CheckpointDue(every, i) {
				got = append(got, i)
			}
		}
		if len(got) != len(want) {
			t.Errorf("every %d: %v, want %v", every, got, want)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("every %d: %v, want %v", every, got, want)
				break
			}
		}
	}
}

func TestDigestDue(t *testing.T) {
	s := Sequence{Train: 10, Test: 2, Epochs: 5, Batch: 3, MicroBatches: 1}
	var got []int
	for i := range s.Len() + 1 {
		if s.DigestDue(i) {
			got = append(got, i)
		}
	}
	want := []int{0, 1, 2, 3, 4, 5, 9, 10, 14, 15, 16, 19, 20, 24, 25}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}
