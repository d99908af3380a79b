package models

import (
	"convoy/job"
	"convoy/nn"
)

// InputOf says how an image of the recipe's data set becomes the network's
// input. Where the recipe leaves it to the model (job.NormalizeAuto), it is
// pixel value ÷ 255, or the model's own range, with a border where the image is
// smaller than what the model was made for and the recipe names none.
func InputOf(r job.Recipe) (job.Input, error) {
	m, err := Of(r)
	if err != nil {
		return job.Input{}, err
	}
	in := r.Input
	if in.Normalize != job.NormalizeAuto {
		return in, nil
	}
	if m.Low == m.High {
		in.Normalize = job.NormalizeUnit
		return in, nil
	}
	in.Normalize, in.Low, in.High = job.NormalizeRange, m.Low, m.High
	if h, w := in.Resized(r.Data); in.Pad == 0 {
		in.Pad = max(0, min(m.Input.H-h, m.Input.W-w)/2)
	}
	return in, nil
}

// ShapeOf is the shape of the network's input.
func ShapeOf(r job.Recipe) (nn.Shape, error) {
	in, err := InputOf(r)
	h, w := in.Size(r.Data)
	return nn.Shape{C: r.Data.Channels, H: h, W: w}, err
}
