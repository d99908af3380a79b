package clustertest

import (
	"fmt"
	"testing"
	"time"
)

// networks are a list of layers and every model, at an input that is near the
// smallest which works; VGG with the least of its channels. The last three have 17
// to 22 million parameters, nearly all in the hidden layers of 4096, whatever the
// input: each takes some seconds of both cores to make, hand out, move and write
// states of up to 175 MB, and much longer on a machine that others use too.
var networks = []struct {
	model, input string
	slow         bool
}{
	{"{layers: [{type: conv, out: 8, kernel: 3, table: XXXXXXXX}, {type: subsample}, {type: scaled_tanh}, {type: conv, out: 8, kernel: 3, groups: 2}, " +
		"{type: relu}, {type: lrn, size: 3, alpha: 0.1, beta: 0.75, k: 1}, {type: inception, 1x1: 4, 3x3_reduce: 2, 3x3: 4, 5x5_reduce: 2, 5x5: 4, pool_proj: 4}, " +
		"{type: avgpool, kernel: 2}, {type: dropout, rate: 0.3}, {type: flatten}, {type: linear, out: 10}]}", "pad: 0", false},
	{"lenet", "pad: 0", false},
	{"lenet-relu", "pad: 0", false},
	{"lenet5", "pad: 2", false},
	{"nin", "resize: 67", true},
	{"googlenet", "resize: 32", true},
	{"{name: googlenet, auxiliary: true}", "resize: 65", true},
	{"vgg11/64", "pad: 2", true},
	{"alexnet", "resize: 65", true},
	{"alexnet-2012", "resize: 67", true},
}

// TestNetworksHaveOneHash: three steps by one worker and by three, with dropout and
// augmentation on, end in the same bits.
func TestNetworksHaveOneHash(t *testing.T) {
	set := digits(12, 4, 4<<20)
	for _, m := range networks {
		t.Run(fmt.Sprintf("%.40s", m.model), func(t *testing.T) {
			if m.slow && testing.Short() {
				t.Skip("millions of parameters")
			}
			hash := func(workers int) string {
				c := Start(t, Config{Workers: workers, Patience: 10 * time.Minute})
				return c.WaitDone(c.Submit(fmt.Sprintf("name: every\nmodel: %s\ninput: {%s}\ndata: {name: small, dir: .}\nepochs: 1\nbatch: 4\nmicro_batches: 4\n"+
					"augment: {flip: true, crop: 2, brightness: 0.2, contrast: 0.2}\noptimizer: {lr: 0.01, momentum: 0.9}\nworkers: {min: %d}\n",
					m.model, m.input, workers), set)).Digest
			}
			if one, three := hash(1), hash(3); one != three {
				t.Errorf("one worker ends at %s, three at %s", one, three)
			}
		})
	}
}
