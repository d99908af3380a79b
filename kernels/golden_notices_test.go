package kernels

import (
	"testing"

	"convoy/internal/golden"
)

// TestGoldenNoticesChanges: no comparison with PyTorch lets another number pass.
func TestGoldenNoticesChanges(t *testing.T) {
	for test, patterns := range map[string][]string{
		"TestGoldenConvolution":    {"conv2d_[0-9]*", "conv2d_grouped_*"},
		"TestGoldenFullyConnected": {"linear_*"},
		"TestGoldenMaxPool":        {"maxpool_*"},
		"TestGoldenAvgPool":        {"avgpool_*"},
		"TestGoldenGlobalAvgPool":  {"gap_*"},
		"TestGoldenActivation":     {"act_relu_*", "act_sigmoid_*", "act_tanh_*", "act_scaled_tanh_1998_*"},
		"TestGoldenLRN":            {"lrn_*"},
		"TestGoldenDropout":        {"dropout_mask"},
		"TestGoldenCrossEntropy":   {"xent_*"},
	} {
		t.Run(test, func(t *testing.T) { golden.Notices(t, test, patterns...) })
	}
}
