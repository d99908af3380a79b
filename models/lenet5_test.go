package models

import (
	"testing"

	"convoy/data"
	"convoy/job"
	"convoy/kernels"
	"convoy/nn"
	"convoy/optim"
)

// TestLeNet5Learns: with each of its losses, a few thousand of the digits in the
// paper's input bring the loss down and the accuracy on others above 90 %.
func TestLeNet5Learns(t *testing.T) {
	const examples, batch, epochs, tested = 5120, 32, 3, 1000
	set := data.Digits()
	r := job.Recipe{Model: "lenet5", Data: set.Manifest.ForRecipe(), Input: job.Input{Normalize: job.NormalizeAuto}}
	in, err := InputOf(r)
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := data.NewPreparation(set.Manifest, in, job.Augment{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	numbers := make([]int, max(examples, tested))
	for i := range numbers {
		numbers[i] = i
	}
	images, labels := make([]float32, examples*prepared.Len()), make([]int32, examples)
	prepared.Evaluate(set.Train, numbers[:examples], images, labels)
	test := nn.Batch{Images: make([]float32, tested*prepared.Len()), Labels: make([]int32, tested), Cuts: []int{0, tested}}
	prepared.Evaluate(set.Test, numbers[:tested], test.Images, test.Labels)
	if ground, low := images[0], float32(-0.1); ground != low {
		t.Errorf("the corner of an image is %v, want %v", ground, low)
	}
	pool := kernels.NewPool(2)
	defer pool.Close()
	for loss, lr := range map[string]float32{job.LossAuto: 0.003, job.LossSquaredDistance: 0.001} {
		r.Loss = loss
		net, err := ForRecipe(r)
		if err != nil {
			t.Fatal(err)
		}
		pass, o := net.NewPass(pool), optim.SGD{Momentum: 0.9}
		state, grad, updater := Blank(net, o), make([]float32, net.NumParams()), optim.NewUpdater(pool)
		net.Init(1, state.Params)
		before := pass.Evaluate(state.Params, test)
		for step := range epochs * examples / batch {
			first := step * batch % examples
			pass.Gradient(state.Params, nn.Batch{
				Images: images[first*prepared.Len() : (first+batch)*prepared.Len()], Labels: labels[first : first+batch],
				Cuts: []int{0, batch / 2, batch},
			}, grad)
			for i := range grad {
				grad[i] /= batch
			}
			updater.Apply(state, o, grad, lr, 1, false)
		}
		after := pass.Evaluate(state.Params, test)
		t.Logf("loss %s: %.2f before, %.2f after, %.1f %% correct", loss, before.Loss/tested, after.Loss/tested, 100*float64(after.Correct)/tested)
		if after.Loss > before.Loss/4 || after.Correct < tested*90/100 {
			t.Errorf("loss %s: from %.2f to %.2f, %d of %d correct; want a quarter at most, and 90 %%", loss, before.Loss/tested, after.Loss/tested, after.Correct, tested)
		}
	}
}

// TestLeNet5Bits pins three steps of LeNet-5: subsampling, the table, the scaled
// tanh, the RBF outputs and their loss, on any machine. If the digest changes on
// purpose, job.ArithmeticVersion changes with it.
func TestLeNet5Bits(t *testing.T) {
	for name, want := range map[string]string{
		"lenet5":       "e43cbadcc8b7c79c189d9e098fa44ef2cc527966961bfb6107a6784afb84b7c9",
		"lenet5-codes": "a1c15df5f601978ac9e4fc283da1aec4bb918417a4045e8f7b83167980d8f1a1",
	} {
		if got := threeSteps(t, name, 32, [][2]int{{0, 8}}); got != want {
			t.Errorf("%s: digest %s, want %s", name, got, want)
		}
	}
}
