package nn

// bindLanes binds the layers at the beginning of a network that one operator
// computes with images in the lanes of vectors, and returns how many they are.
// Such an operator takes images as they come, [C][H][W], and its layers stand
// in the summary one by one.
func (c *chain) bindLanes(b *binder, layers []Layer, in Shape) (taken int, err error) {
	return 0, nil
}

// reorders reports whether images have to be turned into maps: one channel or
// one pixel is both.
func (c *chain) reorders(in Shape) bool {
	_, takes := c.links[0].op.(interface{ takesImages() })
	return !takes && in.C > 1 && in.pixels() > 1
}
