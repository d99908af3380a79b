package inspect

import (
	"fmt"
	"path/filepath"
	"strconv"

	"gorgonia.org/tensor"

	"convoy/kernels"
	"convoy/nn"
	"convoy/picture"
)

// Features returns the output of a layer for a picture, float32 [C][H][W], as
// nn.Net.Observe computes it.
func (t *Trained) Features(pool *kernels.Pool, p *Picture, layer string) (*tensor.Dense, error) {
	shape, values, err := t.Net.Observe(pool, t.Params, p.values(), layer)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", t.Recipe.Model, err)
	}
	return tensor.New(tensor.WithShape(shape.C, shape.H, shape.W), tensor.WithBacking(values)), nil
}

// FeatureGrid draws the maps of a layer for a picture. Each map takes its own
// range of values: white is its greatest, black its least one, or 0 where no
// value of the layer is negative. A flat vector's values share one range.
func (t *Trained) FeatureGrid(pool *kernels.Pool, p *Picture, layer string) (picture.Grid, error) {
	maps, err := t.Features(pool, p, layer)
	if err != nil {
		return picture.Grid{}, err
	}
	shape, v := maps.Shape(), maps.Data().([]float32)
	c, h, w := shape[0], shape[1], shape[2]
	size := h * w
	least, greatest := picture.Range(v)
	g := picture.Grid{
		Title: t.title(layer),
		Lines: []string{
			fmt.Sprintf("%s on %s, output %d×%d×%d, values %.4g to %.4g", t.Recipe.Model, filepath.Base(p.Path), c, h, w, least, greatest),
			legend(size == 1, least, greatest),
		},
	}
	for i := range c {
		values := v[i*size : (i+1)*size]
		low, high := least, greatest
		if size > 1 {
			low, high = picture.Range(values)
		}
		if least >= 0 {
			low = 0
		}
		g.Tiles = append(g.Tiles, picture.Tile{Image: picture.Map(values, h, w, low, high), Label: strconv.Itoa(i)})
	}
	return g, nil
}

// title names a layer as the summary does.
func (t *Trained) title(layer string) string {
	for _, l := range t.Net.Layers() {
		if l.Name == layer {
			return fmt.Sprintf("layer %s: %s", l.Name, l.Layer)
		}
	}
	return "layer " + layer // joined branches, which the summary does not list
}

// legend says what black and white are.
func legend(flat bool, least, greatest float32) string {
	switch {
	case flat:
		return fmt.Sprintf("black is %.4g, white %.4g", min(least, 0), greatest)
	case least >= 0:
		return "in each map black is 0 and white its greatest value"
	}
	return "in each map black is its least value and white its greatest"
}

// maxFilterTiles bounds how many kernels are drawn.
const maxFilterTiles = 4096

// Filters draws the kernels of the network's first convolution: in colour where
// its input has three channels, else one grey tile for each input channel. Each
// tile takes its own range; where it is grey, black is the least weight.
func (t *Trained) Filters() (picture.Grid, error) {
	layer, weights := t.firstKernels()
	if weights == nil {
		return picture.Grid{}, fmt.Errorf("model %s has no convolution: it has no kernels to draw", t.Recipe.Model)
	}
	shape, v := weights.Shape(), weights.Data().([]float32)
	out, c, h, w := shape[0], shape[1], shape[2], shape[3]
	low, high := picture.Range(v)
	g := picture.Grid{
		Title: fmt.Sprintf("kernels of layer %s: %s", layer.Name, layer.Layer),
		Lines: []string{
			fmt.Sprintf("%s, %d×%d×%d×%d, weights %.4g to %.4g", t.Recipe.Model, out, c, h, w, low, high),
			"in each kernel black is its least weight, white its greatest",
		},
	}
	if c == 3 {
		for i := range out {
			kernel := v[i*c*h*w : (i+1)*c*h*w]
			from, to := picture.Range(kernel)
			g.Tiles = append(g.Tiles, picture.Tile{Image: picture.ColorMap(kernel, h, w, from, to), Label: strconv.Itoa(i)})
		}
		g.Lines[1] = "red, green and blue are the weights of the three channels; dark is the kernel's least weight"
		return g, nil
	}
	if out*c > maxFilterTiles {
		return picture.Grid{}, fmt.Errorf("layer %s has %d×%d kernels: at most %d are drawn", layer.Name, out, c, maxFilterTiles)
	}
	for i := range out * c {
		kernel := v[i*h*w : (i+1)*h*w]
		from, to := picture.Range(kernel)
		label := strconv.Itoa(i)
		if c > 1 {
			label = fmt.Sprintf("%d←%d", i/c, i%c)
		}
		g.Tiles = append(g.Tiles, picture.Tile{Image: picture.Map(kernel, h, w, from, to), Label: label})
	}
	return g, nil
}

// firstKernels finds the first layer with kernels, [out][in][h][w].
func (t *Trained) firstKernels() (nn.Info, *tensor.Dense) {
	named := t.Parameters()
	for _, l := range t.Net.Layers() {
		if w := named[l.Name+".weight"]; w != nil && w.Dims() == 4 {
			return l, w
		}
	}
	return nn.Info{}, nil
}
