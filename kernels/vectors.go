package kernels

// vectors are the inner loops of an isa beside the tiles. Each has a generic
// version; a generated one handles whole vectors alone, and the caller gives the
// rest of a row to the generic one.
type vectors struct {
	transforms [transformForms]func(t *transform) // Winograd's, by form
	elementVectors
	poolingVectors
	linearVectors
	lrnVectors
	copyVectors
	lanesVectors
}

var genericVectors = vectors{genericTransforms, genericElements, genericPooling, genericLinear, genericLRN, genericCopies, genericLanes}
