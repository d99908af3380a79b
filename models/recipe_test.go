package models

import (
	"strings"
	"testing"

	"convoy/digest"
	"convoy/job"
)

func TestInitial(t *testing.T) {
	r := job.Recipe{Model: "lenet-relu", Data: job.Data{Name: "digits", Classes: 10, Channels: 1, Height: 28, Width: 28}, Seed: 1, Optimizer: job.Optimizer{LR: 0.1, Momentum: 0.9}}
	sums := map[digest.Sum]bool{}
	for _, seed := range []uint64{1, 1, 2} {
		r.Seed = seed
		s, err := Initial(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Slots) != 1 || len(s.Slots[0]) != len(s.Params) || len(s.Layout) == 0 {
			t.Errorf("%d slots beside %d parameters of %d tensors, want the velocity", len(s.Slots), len(s.Params), len(s.Layout))
		}
		sums[s.Digest()] = true
	}
	if len(sums) != 2 {
		t.Errorf("%d states of two seeds, want 2", len(sums))
	}
	r.Model = "lenot"
	_, err := Initial(r)
	if err == nil || !strings.Contains(err.Error(), "lenot") {
		t.Errorf("error %v, want one that names lenot", err)
	}
}

func TestOfRefusesAuxiliaryClassifiersWhereThereAreNone(t *testing.T) {
	_, err := Of(job.Recipe{Model: "lenet", Auxiliary: true})
	if want := "model lenet has no auxiliary classifiers: leave out model.auxiliary"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// TestLoss: a recipe's loss is the network's, and one that does not go with the
// model is refused with both names.
func TestLoss(t *testing.T) {
	r := job.Recipe{Model: "lenet", Data: job.Data{Name: "digits", Classes: 10, Channels: 1, Height: 28, Width: 28}}
	for loss, want := range map[string]string{
		job.LossAuto: "cross-entropy", job.LossCrossEntropy: "cross-entropy", job.LossSquaredDistance: "squared-distance",
	} {
		r.Loss = loss
		net, err := ForRecipe(r)
		if err != nil || net.Loss().String() != want {
			t.Errorf("loss %s: %v, error %v, want %s", loss, net.Loss(), err, want)
		}
	}
	r.Loss = job.LossRBF
	_, err := ForRecipe(r)
	if err == nil || !strings.Contains(err.Error(), "model lenet on data set digits: loss rbf: ") {
		t.Errorf("loss rbf: error %v, want one that names model and loss", err)
	}
}
