package models

import "convoy/nn"

// VGG (Simonyan and Zisserman, "Very deep convolutional networks for large-scale
// image recognition", 2014): the columns of table 1, each the number of
// convolutions with 64, 128, 256, 512 and 512 channels. Their parameters begin as
// He et al. ("Delving deep into rectifiers", 2015) have them, so that the deepest
// learn from the start.
var (
	vgg11 = vgg("vgg11", "A", 1, 1, 2, 2, 2)
	vgg13 = vgg("vgg13", "B", 2, 2, 2, 2, 2)
	vgg16 = vgg("vgg16", "D", 2, 2, 3, 3, 3)
	vgg19 = vgg("vgg19", "E", 2, 2, 4, 4, 4)
)

func vgg(name, column string, n1, n2, n3, n4, n5 int) Model {
	divided := func(d, classes int) nn.Chain {
		return nn.Chain{
			convs(n1, 64/d), halve, convs(n2, 128/d), halve, convs(n3, 256/d), halve,
			convs(n4, 512/d), halve, convs(n5, 512/d), halve,
			nn.Flatten{},
			hidden(4096), hidden(4096),
			nn.Linear{Out: classes},
		}.Initialised(nn.He)
	}
	return Model{
		Name:     name,
		Doc:      "VGG (2014), column " + column + "; " + name + "/4 has a quarter of the convolutions' channels; 224×224 images",
		Input:    nn.Shape{C: 1, H: 224, W: 224},
		Layers:   func(classes int) nn.Chain { return divided(1, classes) },
		Divisors: []int{2, 4, 8, 16, 32, 64},
		Divided:  divided,
	}
}

// convs is n convolutions of 3×3 with so many channels.
func convs(n, out int) nn.Chain {
	var c nn.Chain
	for range n {
		c = append(c, relu(nn.Conv{Out: out, Kernel: 3, Pad: 1}))
	}
	return c
}

var halve = nn.MaxPool{Kernel: 2}
