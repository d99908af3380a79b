package nn

// Flatten makes one vector of an image, channel by channel and row by row. It
// moves nothing: images are laid out like that.
type Flatten struct{}

func (Flatten) String() string { return "Flatten" }

func (Flatten) bind(_ *binder, in Shape) (operator, error) { return flatten(in.Len()), nil }

type flatten int

func (f flatten) out() Shape                                    { return Shape{int(f), 1, 1} }
func (flatten) learns() bool                                    { return false }
func (flatten) forward(_ *run, x []float32) []float32           { return x }
func (flatten) backward(_ *run, gy []float32, _ bool) []float32 { return gy }
